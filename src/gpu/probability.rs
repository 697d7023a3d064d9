//! Softmax and log-softmax on a device; the kernels are `gpu/softmax.cu`.

use super::device::{Extent, MOST_Y, arguments};
use super::kernels::Map;
use super::{DeviceSlice, Gpu};
use crate::Error;
use crate::error::check_len;
use crate::probability::{LogSoftmax, ProbabilityMap, Softmax, check_rows};
use crate::simd::stream::{GROUP, LANES};

/// Elements in front of a row in shared memory: `FRONT` of the kernels.
const FRONT: usize = 100;
/// Threads of the kernels of chunks.
const THREADS: usize = 256;
/// Rows at least this long are cut in chunks where there are fewer rows than multiprocessors.
const LONG: usize = 8192;
/// The longest row, so that indices in a kernel fit.
const LONGEST: usize = 1 << 31;
/// Floats of the workspace that batches of long rows share.
const WORKSPACE: usize = 1 << 22;

macro_rules! probability_map {
    ($map:ident, $kernels:ident) => {
        /// Raw logits alone: a scale, a soft cap or a mask gives [`Error::Unsupported`]. A row of more than
        /// 2^31 elements gives [`Error::Capacity`].
        impl ProbabilityMap<DeviceSlice<f32>> for $map<'_, f32, Gpu> {
            fn map_in_place(&self, x: &mut DeviceSlice<f32>) -> Result<(), Error> {
                self.map_rows(x, x.len())
            }

            fn map(&self, x: &DeviceSlice<f32>, out: &mut DeviceSlice<f32>) -> Result<(), Error> {
                check_len(x.len(), out.len())?;
                let gpu = self.executor;
                gpu.owns(x)?;
                let rows = Rows::new(gpu, self.logits.is_raw(), out, x.len())?;
                rows.map(&gpu.device().kernels().$kernels, x.address())
            }

            fn map_rows(&self, x: &mut DeviceSlice<f32>, row: usize) -> Result<(), Error> {
                let gpu = self.executor;
                let rows = Rows::new(gpu, self.logits.is_raw(), x, row)?;
                rows.map(&gpu.device().kernels().$kernels, x.address())
            }
        }
    };
}
probability_map!(Softmax, softmax);
probability_map!(LogSoftmax, log_softmax);

/// Rows on a device, checked.
struct Rows {
    gpu: Gpu,
    /// The number of rows.
    count: usize,
    /// The elements of a row, fewer than [`LONGEST`].
    len: usize,
    /// Where they go.
    y: u64,
}

impl Rows {
    fn new(gpu: Gpu, is_raw: bool, y: &DeviceSlice<f32>, row: usize) -> Result<Self, Error> {
        check_rows(y.len(), row)?;
        gpu.owns(y)?;
        if !is_raw {
            return Err(Error::Unsupported);
        }
        if row > LONGEST {
            return Err(Error::Capacity { limit: LONGEST });
        }
        Ok(Self {
            gpu,
            count: y.len().checked_div(row).unwrap_or(0),
            len: row,
            y: y.address(),
        })
    }

    /// Returns the groups of a row.
    const fn groups(&self) -> usize {
        self.len.div_ceil(GROUP)
    }

    /// Returns the floats of shared memory of a block that has the row in it.
    const fn shared(&self) -> usize {
        let sums = if self.gpu.is_fused() {
            0
        } else {
            self.groups() * LANES
        };
        FRONT + self.len.next_multiple_of(4) + sums
    }

    /// Maps the rows from the address `x` on.
    fn map(&self, map: &Map, x: u64) -> Result<(), Error> {
        if self.count == 0 {
            return Ok(());
        }
        let device = self.gpu.device();
        let fits = self.shared() * size_of::<f32>() <= device.most_shared;
        if fits && (self.len < LONG || self.count >= device.multiprocessors) {
            return self.map_whole(map, x);
        }
        // A chunk is whole groups, and there are enough of them to fill the device a few times.
        let enough = |chunk: &usize| self.count * (self.len / chunk) >= 4 * device.multiprocessors;
        let chunk = [8192, 4096, 2048].into_iter().find(enough).unwrap_or(1024);
        let long = Long {
            chunk,
            chunks: self.len.div_ceil(chunk),
        };
        let of_row = long.workspace(self);
        let batch = (WORKSPACE / of_row).clamp(1, MOST_Y);
        let workspace = device.workspace(self.gpu, (of_row * batch).max(WORKSPACE))?;
        let space = workspace.as_ref().map_or(0, DeviceSlice::address);
        let mut row = 0;
        while row < self.count {
            let offset = (row * self.len * size_of::<f32>()) as u64;
            let part = Self {
                count: batch.min(self.count - row),
                y: self.y + offset,
                ..*self
            };
            part.map_long(map, long, x + offset, space)?;
            row += batch;
        }
        Ok(())
    }

    /// Gives each row to a block.
    fn map_whole(&self, map: &Map, x: u64) -> Result<(), Error> {
        let threads = match self.len {
            0..=256 => 32,
            257..=512 => 64,
            513..=1024 => 128,
            1025..=8192 => 256,
            8193..=16384 => 512,
            _ => 1024,
        };
        let extent = Extent {
            grid: (self.count, 1),
            threads,
            shared: self.shared(),
        };
        let (mut x, mut y, mut n) = (x, self.y, self.len as u32);
        let arguments = arguments![x, y, n];
        let kernel = map.row.get(self.gpu.is_fused());
        // SAFETY: the arguments are those of `*_row`; x and y hold `count` rows of `len` elements, as
        // `new` has checked, and have the alignment of a `DeviceSlice`, of which they are the start.
        unsafe { self.gpu.device().launch(kernel, extent, &arguments) }
    }

    /// Gives each chunk of a row to a block, pass by pass. `space` has room for all of these rows.
    fn map_long(&self, map: &Map, long: Long, x: u64, space: u64) -> Result<(), Error> {
        let device = self.gpu.device();
        let kernels = device.kernels();
        let fused = self.gpu.is_fused();
        let Long { chunk, chunks } = long;
        let floats = |n: usize| (n * size_of::<f32>()) as u64;
        let (mut x, mut y) = (x, self.y);
        let mut maxima = space;
        let mut totals = maxima + floats(self.count * chunks);
        let mut sums = totals + floats(2 * self.count * chunks);
        let (mut n, mut chunk, mut width) = (self.len as u32, chunk as u32, chunks as u32);
        let extent = Extent {
            grid: (chunks, self.count),
            threads: THREADS,
            shared: FRONT,
        };
        // SAFETY: each launch has the arguments of its kernel; x and y hold these rows, as `new` has
        // checked, the workspace what `Long::workspace` says. Rows after the first of them are aligned
        // to 16 bytes where a kernel relies on it: their length is then a multiple of four.
        unsafe {
            device.launch(&kernels.long_max, extent, &arguments![x, maxima, n, chunk])?;
            if fused {
                let arguments = arguments![x, maxima, totals, n, chunk];
                device.launch(&kernels.long_chunks_fused, extent, &arguments)?;
            } else {
                device.launch(
                    &kernels.long_groups,
                    extent,
                    &arguments![x, maxima, sums, n, chunk],
                )?;
                let total = Extent {
                    grid: (self.count, 1),
                    threads: THREADS,
                    shared: 2 * THREADS * LANES,
                };
                device.launch(
                    &map.long_total,
                    total,
                    &arguments![maxima, sums, totals, n, width],
                )?;
            }
            device.launch(
                map.long.get(fused),
                extent,
                &arguments![x, y, maxima, totals, n, chunk],
            )
        }
    }
}

/// How long rows are cut.
#[derive(Clone, Copy)]
struct Long {
    /// The elements of a chunk.
    chunk: usize,
    /// The chunks of a row.
    chunks: usize,
}

impl Long {
    /// Returns the floats between the passes over one row: a maximum and two numbers for each chunk,
    /// sixteen sums for each group in the portable order.
    const fn workspace(self, rows: &Rows) -> usize {
        let sums = if rows.gpu.is_fused() {
            0
        } else {
            rows.groups() * LANES
        };
        3 * self.chunks + sums
    }
}
