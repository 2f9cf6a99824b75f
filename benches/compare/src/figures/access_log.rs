//! What a line of the access log costs, written to a file: told, without a bar.

use std::fs::{self, File};

use super::edge;
use super::{Bench, Fault, Figure, Row};
use crate::statistics::median;

pub fn figures(bench: &Bench<'_>, _: &[Row]) -> Result<Vec<Figure>, Fault> {
    let path = bench.stand.folder.join("access.log");
    let on = edge::start(bench, &[("  access_log: off\n", "  access_log: all\n")], Some(File::create(&path)?))?;
    let off = edge::start(bench, &[], None)?;
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        with.push(bench.measure(&on)?.cpu_us);
        without.push(bench.measure(&off)?.cpu_us);
    }
    drop(on);
    let lines = fs::metadata(&path)?.len();
    fs::remove_file(&path)?;
    if lines == 0 {
        return Err("with the access log on, nothing was logged".into());
    }
    let (with, without) = (median(with), median(without));
    let note = format!("{with:.2} µs with a line for every request, {without:.2} µs with none");
    Ok(vec![Figure { name: "access_log", value: with - without, unit: "µs", bar: None, note }])
}
