//! The static workload that runs in every target, and the line protocol it speaks.
