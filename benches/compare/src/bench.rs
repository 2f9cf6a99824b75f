//! Everything that measuring takes: what systems are given, the systems, and the cores they run on.

use std::process::Child;
use std::time::Instant;

use crate::load::{self, Generator};
use crate::meter::{self, Cores};
use crate::stand::{Fault, Stand};
use crate::system::{Candidate, Running, Unavailable};

#[derive(Debug)]
pub struct Bench<'s> {
    pub stand: &'s Stand,
    pub candidates: Vec<Candidate>,
    pub cores: Cores,
    /// How often each is measured, and for how long.
    pub rounds: usize,
    pub seconds: u64,
}

/// Whoever else has the core for more than this share of a sample leaves its caches to what is measured.
const DISTURBED: f64 = 0.05;
/// How often a disturbed sample is taken again: on a machine that is never quiet, the last one stands.
const AGAIN: usize = 2;

/// What one sample says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Of the system's processes, for each request.
    pub cpu_us: f64,
    pub requests_per_second: f64,
    pub p50_us: f64,
    pub p99_us: f64,
}

impl Bench<'_> {
    /// Starts a system on one core, apart from whoever asks.
    ///
    /// # Errors
    /// Why it cannot be measured.
    pub fn start(&self, candidate: &Candidate) -> Result<Running, Unavailable> {
        let running = (candidate.start)(self.stand, 1)?;
        meter::pin(&pids(&running), self.cores.answering())?;
        Ok(running)
    }

    /// Starts the one of this name, as [`Bench::start`].
    ///
    /// # Errors
    /// When there is none, or it cannot be measured.
    pub fn start_named(&self, id: &str) -> Result<Running, Fault> {
        self.start(self.candidate(id)?).map_err(|why| format!("{id}: {why}").into())
    }

    fn candidate(&self, id: &str) -> Result<&Candidate, Fault> {
        self.candidates.iter().find(|candidate| candidate.id == id).ok_or_else(|| format!("there is no {id}").into())
    }

    /// Starts the one of this name on so many threads, wherever the kernel lets them run.
    ///
    /// # Errors
    /// When there is none, or it cannot be measured.
    pub fn start_free(&self, id: &str, cores: usize) -> Result<Running, Fault> {
        let running = (self.candidate(id)?.start)(self.stand, cores).map_err(|why| format!("{id}: {why}"))?;
        meter::pin(&pids(&running), self.cores.all())?;
        Ok(running)
    }

    /// Warms a system up, and measures it: again, where somebody else had its core.
    ///
    /// # Errors
    /// When one answer was not as it should be, or the generator cannot be run.
    pub fn measure(&self, running: &Running) -> Result<Measured, Fault> {
        let generator = self.generator(self.cores.asking());
        for _ in 0..AGAIN {
            let begin = (Instant::now(), meter::busy(self.cores.answering())?, meter::spent(&pids(running)));
            let sample = self.measure_from(&generator, running)?;
            let busy = meter::busy(self.cores.answering())?.saturating_sub(begin.1);
            let others = busy.saturating_sub(meter::spent(&pids(running)).saturating_sub(begin.2));
            // Where whoever asks runs beside what is measured, there is always somebody else.
            if !self.cores.apart || others <= begin.0.elapsed().mul_f64(DISTURBED) {
                return Ok(sample);
            }
        }
        self.measure_from(&generator, running)
    }

    /// The same, with a generator that runs where it is told.
    ///
    /// # Errors
    /// As [`Bench::measure`].
    pub fn measure_from(&self, generator: &Generator, running: &Running) -> Result<Measured, Fault> {
        let pids = pids(running);
        generator.warm_up(&running.load)?;
        let before = meter::spent(&pids);
        let sample = generator.closed(&running.load, load::AT_ONCE, self.seconds)?;
        let spent = meter::spent(&pids).saturating_sub(before);
        if spent.is_zero() {
            return Err("its processes have done nothing: something else has answered".into());
        }
        Ok(Measured {
            cpu_us: spent.as_secs_f64() * 1e6 / sample.requests as f64,
            requests_per_second: sample.requests_per_second(),
            p50_us: sample.p50_us,
            p99_us: sample.p99_us,
        })
    }

    pub fn generator(&self, cores: &[usize]) -> Generator {
        Generator { folder: self.stand.folder.clone(), cores: cores.to_vec() }
    }
}

/// The processes whose time counts.
pub fn pids(running: &Running) -> Vec<u32> {
    pids_of(&running.processes)
}

pub fn pids_of(processes: &[Child]) -> Vec<u32> {
    processes.iter().map(Child::id).collect()
}
