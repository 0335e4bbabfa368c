//! Amounts in a unit, as people write them: `3 MiB`, `2.5 ms`.

use crate::model::Unit;

/// Every unit that an amount can have: its symbol, the unit of samples that it belongs to, and how
/// many of these make one of it. Powers of 1024 and of 1000 have symbols of their own.
const UNITS: [(&str, Unit, f64); 24] = [
    ("ns", Unit::Nanoseconds, 1.0),
    ("us", Unit::Nanoseconds, 1e3),
    ("µs", Unit::Nanoseconds, 1e3),
    ("ms", Unit::Nanoseconds, 1e6),
    ("s", Unit::Nanoseconds, 1e9),
    ("B", Unit::Bytes, 1.0),
    ("kB", Unit::Bytes, 1e3),
    ("MB", Unit::Bytes, 1e6),
    ("GB", Unit::Bytes, 1e9),
    ("KiB", Unit::Bytes, 1024.0),
    ("MiB", Unit::Bytes, 1_048_576.0),
    ("GiB", Unit::Bytes, 1_073_741_824.0),
    ("B/s", Unit::BytesPerSecond, 1.0),
    ("kB/s", Unit::BytesPerSecond, 1e3),
    ("MB/s", Unit::BytesPerSecond, 1e6),
    ("GB/s", Unit::BytesPerSecond, 1e9),
    ("KiB/s", Unit::BytesPerSecond, 1024.0),
    ("MiB/s", Unit::BytesPerSecond, 1_048_576.0),
    ("GiB/s", Unit::BytesPerSecond, 1_073_741_824.0),
    ("/s", Unit::OperationsPerSecond, 1.0),
    ("ops/s", Unit::OperationsPerSecond, 1.0),
    ("k/s", Unit::OperationsPerSecond, 1e3),
    ("M/s", Unit::OperationsPerSecond, 1e6),
    ("", Unit::Count, 1.0),
];

/// A number of some unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    number: f64,
    unit: Unit,
    /// How many of the samples' units make one of the unit that was written.
    size: f64,
}

impl Amount {
    /// So many of the unit with this symbol; nothing if there is no such unit.
    pub fn new(number: f64, symbol: &str) -> Option<Self> {
        let (_, unit, size) = UNITS.into_iter().find(|(known, ..)| *known == symbol)?;
        Some(Self { number, unit, size })
    }

    /// The amount in a unit of samples; nothing if the amount is of another kind.
    pub fn in_unit_of(self, unit: Unit) -> Option<f64> {
        (self.unit == unit).then_some(self.number * self.size)
    }
}

/// The symbols of all units, for a message.
pub fn known_units() -> String {
    let symbols = UNITS.map(|(symbol, ..)| symbol);
    let symbols = symbols.into_iter().filter(|symbol| !symbol.is_empty());
    symbols.collect::<Vec<_>>().join(", ")
}

/// The symbols that an amount of this unit can have, for a message.
pub const fn units_of(unit: Unit) -> &'static str {
    match unit {
        Unit::Nanoseconds => "ns, us, ms or s",
        Unit::Bytes => "B, kB, MB, GB, KiB, MiB or GiB",
        Unit::BytesPerSecond => "B/s, kB/s, MB/s, GB/s, KiB/s, MiB/s or GiB/s",
        Unit::OperationsPerSecond => "/s, k/s or M/s",
        Unit::Count => "a number without a unit",
    }
}
