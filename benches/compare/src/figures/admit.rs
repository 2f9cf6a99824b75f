//! The whole of `Runtime::admit` in this process: what one decision takes.

use doorward_benches::inside::Inside;
use doorward_proxy::clock;

use super::edge::{self, PAGE};
use super::inside::nanoseconds;
use super::{Bar, Bench, Fault, Figure, Row};
use crate::stand;
use crate::statistics::Spread;
use crate::system::{Load, Transport};

pub fn figures(bench: &Bench<'_>, _: &[Row]) -> Result<Vec<Figure>, Fault> {
    let written = edge::write(bench, &[])?;
    let inside = Inside::new(&written.configuration, doorward_benches::beside()?)?;
    let cookie = stand::cookie(bench.stand, &written.configuration, clock::now())?;
    let usual = Load::usual(written.places.listen, Transport::Tls, PAGE);
    let bearer = usual.clone().bearer(&bench.stand.bearer(0));
    let session = usual.session(&cookie);
    let mut figures = Vec::new();
    for (name, load, most) in [("admit_bearer", bearer, 500.0), ("admit_session", session, 1000.0)] {
        let times = (0..bench.rounds).map(|_| nanoseconds(&inside, &load)).collect::<Result<Vec<_>, _>>()?;
        let spread = Spread::of(times).ok_or("nothing was decided")?;
        let note = format!("Runtime::admit in process, seen before; {:.0} to {:.0} ns", spread.min, spread.max);
        figures.push(Figure { name, value: spread.median, unit: "ns", bar: Some(Bar::AtMost(most)), note });
    }
    Ok(figures)
}
