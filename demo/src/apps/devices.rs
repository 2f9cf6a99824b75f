//! Devices whose values move with the clock, so that nothing has to run to keep them alive.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

#[derive(Debug)]
pub(super) struct Devices(Mutex<Vec<Device>>);

#[derive(Debug)]
struct Device {
    id: &'static str,
    name: &'static str,
    unit: &'static str,
    mean: f64,
    swing: f64,
    started: Instant,
    restarts: u32,
}

/// What the dashboard and the API show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Reading {
    id: &'static str,
    name: &'static str,
    state: &'static str,
    value: String,
    unit: &'static str,
    uptime: u64,
    restarts: u32,
}

impl Devices {
    pub(super) fn of_the_plant() -> Devices {
        let device = |(id, name, unit, mean, swing)| Device { id, name, unit, mean, swing, started: Instant::now(), restarts: 0 };
        Devices(Mutex::new(PLANT.map(device).into()))
    }

    pub(super) fn readings(&self) -> Vec<Reading> {
        self.all().iter().map(Device::reading).collect()
    }

    pub(super) fn reading(&self, id: &str) -> Option<Reading> {
        self.all().iter().find(|device| device.id == id).map(Device::reading)
    }

    /// The reading after the restart; `None`: no such device.
    pub(super) fn restart(&self, id: &str) -> Option<Reading> {
        let mut devices = self.all();
        let device = devices.iter_mut().find(|device| device.id == id)?;
        device.started = Instant::now();
        device.restarts = device.restarts.saturating_add(1);
        Some(device.reading())
    }

    fn all(&self) -> MutexGuard<'_, Vec<Device>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Device {
    fn reading(&self) -> Reading {
        let up = self.started.elapsed();
        let starting = up < STARTING && self.restarts > 0;
        let phase = up.as_secs_f64() / 7.0 + self.mean;
        let value = if starting { 0.0 } else { self.mean + self.swing * (phase.sin() + (phase * 2.7).sin() / 3.0) };
        Reading {
            id: self.id,
            name: self.name,
            state: if starting { "starting" } else { "running" },
            value: format!("{value:.1}"),
            unit: self.unit,
            uptime: up.as_secs(),
            restarts: self.restarts,
        }
    }
}

const STARTING: Duration = Duration::from_secs(3);

const PLANT: [(&str, &str, &str, f64, f64); 4] = [
    ("pump-1", "Pump, cellar", "l/min", 118.0, 9.0),
    ("boiler-2", "Boiler, hall 2", "°C", 71.5, 3.0),
    ("wind-7", "Turbine, roof", "kW", 12.4, 6.0),
    ("air-3", "Air sensor, office", "ppm CO₂", 640.0, 55.0),
];
