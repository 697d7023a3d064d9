//! The executor on NVIDIA devices.
//!
//! [`Gpu::open`] exists in every build and says why there is no device: the crate was built without
//! the feature `cuda`, the machine has no driver, the driver no device. With the feature, building
//! needs nothing of CUDA, and a program starts with or without a driver.
//!
#![cfg_attr(
    all(feature = "cuda", target_os = "linux"),
    doc = "An operation moves to the device by `.on(gpu)` and then works on a [`DeviceSlice`]. Three do:",
    doc = "[`Softmax`](crate::probability::Softmax) and [`LogSoftmax`](crate::probability::LogSoftmax) of",
    doc = "raw logits, [`Rope`](crate::position::Rope), and [`Attention`](crate::mixer::Attention) of one",
    doc = "token over a [`Cache`](crate::mixer::Cache) in device memory."
)]
//!
//! ```
//! use suanzi::gpu::Gpu;
//!
//! match Gpu::open(0) {
//!     Ok(gpu) => println!("{gpu:?}"),
//!     Err(why) => println!("no device: {why}"),
//! }
//! ```
//!
//! # The same bits
//!
//! The default kernels compute in the portable order and give the bits of
//! [`Cpu::default`](crate::Cpu), NaN and infinities included. `gpu.with_fused(true)` has the fused
//! arithmetic, as [`Cpu::with_fused`](crate::Cpu::with_fused) has: other bits, the same bounds.
//!
//! # Order and errors
//!
//! A device has one stream. Operations check every length, put their kernels in the stream and
//! return; copies to and from host memory wait for it. What goes wrong on the device itself
//! ([`Error::Device`](crate::Error::Device)) may therefore come back from a later call. Buffers of
//! another device are refused with [`Error::Unsupported`](crate::Error::Unsupported).

use core::fmt;

#[cfg(all(feature = "cuda", target_os = "linux"))]
mod attention;
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod device;
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod driver;
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod kernels;
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod position;
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod probability;
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod slice;

#[cfg(all(feature = "cuda", target_os = "linux"))]
pub use attention::Kept;
#[cfg(all(feature = "cuda", target_os = "linux"))]
pub use device::{Gpu, Timer};
#[cfg(all(feature = "cuda", target_os = "linux"))]
pub use slice::{DeviceSlice, Element};

/// Says why there is no device to compute on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
#[non_exhaustive]
pub enum Unavailable {
    /// The crate was built without the feature `cuda`, or for another system than Linux.
    Feature,
    /// The machine has no CUDA driver.
    NoDriver,
    /// The driver has no device of this number.
    NoDevice {
        /// The number of devices.
        count: usize,
    },
    /// The driver failed with this result.
    Driver(i32),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Feature => f.write_str("built without the feature cuda"),
            Self::NoDriver => f.write_str("no CUDA driver on this machine"),
            Self::NoDevice { count } => write!(f, "the driver has {count} devices, not this one"),
            Self::Driver(code) => write!(f, "the CUDA driver failed with result {code}"),
        }
    }
}

impl core::error::Error for Unavailable {}

/// A device, in a build that has none: no value of it exists.
#[cfg(not(all(feature = "cuda", target_os = "linux")))]
#[derive(Clone, Copy, Debug)]
pub enum Gpu {}

#[cfg(not(all(feature = "cuda", target_os = "linux")))]
impl Gpu {
    /// Returns [`Unavailable::Feature`].
    ///
    /// # Errors
    ///
    /// Always, in a build without the feature `cuda`.
    pub const fn open(_ordinal: usize) -> Result<Self, Unavailable> {
        Err(Unavailable::Feature)
    }
}
