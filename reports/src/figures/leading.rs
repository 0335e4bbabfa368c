//! Which experiments a reader asks for first.

use crate::figures::summary::{Section, Summary};
use crate::schema::{are_of_commands, cpu, disk, memory, startup, time};

/// The experiments that come before all others: one of each kind of cost.
const FIRST: [&str; 4] = [startup::NAME, memory::NAME, cpu::NAME, disk::NAME];

/// How many leading figures stand beside each other on the first screen.
pub const ABREAST: usize = FIRST.len();

/// The experiments of a run: start-up, memory, processor and disk, and then all others. A run of
/// timed commands has its commands alone: what explains them is for the tables.
pub fn by_importance<'s, 'a>(summary: &'s Summary<'a>) -> Vec<&'s Section<'a>> {
    let mut sections: Vec<_> = summary.sections.iter().collect();
    if are_of_commands(&summary.run.experiments) {
        sections.retain(|section| time::is_time(&section.experiment.name));
    }
    sections.sort_by_key(|section| {
        let place = FIRST
            .iter()
            .position(|name| *name == section.experiment.name);
        place.unwrap_or(FIRST.len())
    });
    sections
}
