//! What the kernel tells of this process, from files that were opened before the sandbox, in which
//! `/proc` is out of reach.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use procfs::FromRead;
use procfs::process::Stat;
use rustix::fs::{Mode, OFlags, RawDir, open, seek};
use rustix::process::{Resource, getrlimit};

/// Bytes of the list of descriptors that are read at a time.
const LIST_BYTES: usize = 16 * 1024;

/// The files.
#[derive(Debug, Default)]
pub(super) struct Process(Mutex<Option<Opened>>);

#[derive(Debug)]
struct Opened {
    stat: File,
    descriptors: OwnedFd,
    ticks_per_second: u64,
    page_bytes: u64,
}

/// How the process is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usage {
    pub(super) cpu_seconds: f64,
    pub(super) resident_bytes: u64,
    pub(super) virtual_bytes: u64,
    pub(super) threads: i64,
    pub(super) descriptors: usize,
    /// None where there is no limit.
    pub(super) descriptors_max: Option<u64>,
}

impl Process {
    /// Opens them; nothing is told where that fails.
    pub(super) fn open() -> Self {
        let opened = || -> io::Result<Opened> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            Ok(Opened {
                stat: File::open("/proc/self/stat")?,
                descriptors: open("/proc/self/fd", flags, Mode::empty())?,
                ticks_per_second: procfs::ticks_per_second(),
                page_bytes: procfs::page_size(),
            })
        };
        Self(Mutex::new(opened().ok()))
    }

    /// How it is now.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut()?.read().ok()
    }
}

impl Opened {
    fn read(&mut self) -> io::Result<Usage> {
        self.stat.seek(SeekFrom::Start(0))?;
        let stat = Stat::from_read(&self.stat).map_err(io::Error::other)?;
        let ticks = stat.utime.saturating_add(stat.stime);
        #[expect(clippy::cast_precision_loss, reason = "exact for a hundred million years of hundredths")]
        let cpu_seconds = ticks as f64 / self.ticks_per_second.max(1) as f64;
        seek(&self.descriptors, rustix::fs::SeekFrom::Start(0))?;
        let mut buffer = [MaybeUninit::uninit(); LIST_BYTES];
        let mut list = RawDir::new(&self.descriptors, &mut buffer);
        let mut descriptors: usize = 0;
        while let Some(entry) = list.next() {
            if entry?.file_name().to_bytes().first().is_some_and(u8::is_ascii_digit) {
                descriptors = descriptors.saturating_add(1);
            }
        }
        Ok(Usage {
            cpu_seconds,
            resident_bytes: stat.rss.saturating_mul(self.page_bytes),
            virtual_bytes: stat.vsize,
            threads: stat.num_threads,
            descriptors,
            descriptors_max: getrlimit(Resource::Nofile).current,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_are_those_of_this_process_at_the_time() {
        let process = Process::open();
        let before = process.usage().unwrap();
        let files: Vec<File> = (0..1000).map(|_| File::open("/dev/null").unwrap()).collect();
        let now = process.usage().unwrap();
        assert!(now.descriptors >= files.len() && before.descriptors > 0, "{before:?} {now:?}");
        assert!(now.resident_bytes > 1 << 20 && now.virtual_bytes > now.resident_bytes, "{now:?}");
        assert!(now.threads >= 1 && now.cpu_seconds >= before.cpu_seconds);
    }
}
