//! Arrays in device memory.

use core::ffi::c_void;
use core::fmt;
use core::marker::PhantomData;

use cust::memory::{DeviceCopy, DevicePointer, cuda_free, cuda_malloc};
use cust::sys;

use super::Gpu;
use super::device::{check, check_raw};
use crate::Error;
use crate::error::check_len;
use crate::storage::Bf16;

/// A number type that lies in device memory as it does in the host's.
///
/// Sealed: `f32`, [`Bf16`] and `i32`.
pub trait Element: Copy + fmt::Debug + sealed::Copied {}

impl Element for f32 {}
impl Element for Bf16 {}
impl Element for i32 {}

mod sealed {
    use super::{Bf16, DeviceCopy};

    /// What `cust` asks of a type, by a wrapper of its own.
    pub trait Copied: 'static {
        /// The same bits, as a type that `cust` may copy.
        type Bits: DeviceCopy;
    }

    impl Copied for f32 {
        type Bits = Self;
    }
    impl Copied for i32 {
        type Bits = Self;
    }
    impl Copied for Bf16 {
        type Bits = u16;
    }
}

/// An array in the memory of a device: its own, or lent to it.
///
/// It is where an operation works that has been moved to the device, as `[f32]` is on the processor.
/// Copies to and from host memory wait for the stream; nothing else does but dropping an array that
/// owns its memory.
///
/// ```no_run
/// use suanzi::gpu::{DeviceSlice, Gpu};
/// use suanzi::probability::{ProbabilityMap, Softmax};
///
/// let gpu = Gpu::open(0)?;
/// let mut rows = DeviceSlice::from_host(gpu, &[1.0_f32, 2.0, 3.0, 3.0, 2.0, 1.0])?;
/// Softmax::default().on(gpu).map_rows(&mut rows, 3)?;
/// let mut p = [0.0; 6];
/// rows.copy_to(&mut p)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DeviceSlice<T: Element> {
    gpu: Gpu,
    /// Aligned to [`ALIGNMENT`]; zero if empty.
    address: u64,
    len: usize,
    is_owned: bool,
    element: PhantomData<T>,
}

/// What kernels load at once, in bytes.
const ALIGNMENT: u64 = 16;

impl<T: Element> fmt::Debug for DeviceSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeviceSlice")
            .field("gpu", &self.gpu)
            .field("len", &self.len)
            .finish()
    }
}

impl<T: Element> DeviceSlice<T> {
    /// Allocates an array of zeros.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if there is no memory for it.
    pub fn zeroed(gpu: Gpu, len: usize) -> Result<Self, Error> {
        let slice = Self::uninitialized(gpu, len)?;
        if len > 0 {
            let stream = gpu.device().stream().as_inner();
            // SAFETY: the array was allocated above with as many bytes.
            let done = unsafe { sys::cuMemsetD8Async(slice.address, 0, slice.bytes(), stream) };
            check_raw(done)?;
        }
        Ok(slice)
    }

    /// Allocates a copy of an array in host memory.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if there is no memory for it.
    pub fn from_host(gpu: Gpu, x: &[T]) -> Result<Self, Error> {
        let mut slice = Self::uninitialized(gpu, x.len())?;
        slice.copy_from(x)?;
        Ok(slice)
    }

    /// Allocates an array that nobody has written yet. Kernels alone may read it before.
    pub(super) fn uninitialized(gpu: Gpu, len: usize) -> Result<Self, Error> {
        let address = if len == 0 {
            0
        } else {
            gpu.device().enter()?;
            // SAFETY: the context is current; the allocation is freed once, when the slice is dropped.
            check(unsafe { cuda_malloc::<T::Bits>(len) })?.as_raw()
        };
        Ok(Self {
            gpu,
            address,
            len,
            is_owned: true,
            element: PhantomData,
        })
    }

    /// Borrows device memory of somebody else, which is not freed.
    ///
    /// # Errors
    ///
    /// [`Error::Multiple`] if the address is not aligned to 16 bytes.
    ///
    /// # Safety
    ///
    /// * `address` points to `len` elements in the memory of this device that stay allocated for the life
    ///   of the slice.
    /// * Nobody else uses them between the first operation on the slice and a synchronization after the
    ///   last.
    pub unsafe fn from_raw(gpu: Gpu, address: u64, len: usize) -> Result<Self, Error> {
        if !address.is_multiple_of(ALIGNMENT) {
            return Err(Error::Multiple {
                of: ALIGNMENT as usize,
                found: address as usize,
            });
        }
        Ok(Self {
            gpu,
            address,
            len,
            is_owned: false,
            element: PhantomData,
        })
    }

    /// Returns the number of elements.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Returns whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the address, for a library that takes one.
    #[must_use]
    pub const fn address(&self) -> u64 {
        self.address
    }

    /// Returns the device.
    #[must_use]
    pub const fn gpu(&self) -> Gpu {
        self.gpu
    }

    /// Copies from host memory, and waits.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `x` has another length, [`Error::Device`] if the stream failed.
    pub fn copy_from(&mut self, x: &[T]) -> Result<(), Error> {
        check_len(self.len, x.len())?;
        if self.len > 0 {
            self.gpu.device().enter()?;
            let from = x.as_ptr().cast::<c_void>();
            let stream = self.gpu.device().stream().as_inner();
            // SAFETY: both sides have as many bytes; `x` is borrowed until the stream has been waited for.
            let done =
                unsafe { sys::cuMemcpyHtoDAsync_v2(self.address, from, self.bytes(), stream) };
            check_raw(done)?;
        }
        self.gpu.synchronize()
    }

    /// Copies to host memory, once everything in the stream is done.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if `x` has another length, [`Error::Device`] if the stream failed.
    pub fn copy_to(&self, x: &mut [T]) -> Result<(), Error> {
        check_len(self.len, x.len())?;
        // What an earlier kernel did wrong comes back before anything is written.
        self.gpu.synchronize()?;
        if self.len > 0 {
            let to = x.as_mut_ptr().cast::<c_void>();
            let stream = self.gpu.device().stream().as_inner();
            // SAFETY: both sides have as many bytes of a type that any bits are a value of; `x` is
            // borrowed until the stream has been waited for.
            let done = unsafe { sys::cuMemcpyDtoHAsync_v2(to, self.address, self.bytes(), stream) };
            check_raw(done)?;
        }
        self.gpu.synchronize()
    }

    /// Copies another array of the same device.
    ///
    /// # Errors
    ///
    /// [`Error::Length`] if it has another length, [`Error::Unsupported`] if it is another device's.
    pub fn copy_from_device(&mut self, other: &Self) -> Result<(), Error> {
        check_len(self.len, other.len)?;
        self.gpu.owns(other)?;
        if self.len == 0 {
            return Ok(());
        }
        self.gpu.device().enter()?;
        let stream = self.gpu.device().stream().as_inner();
        // SAFETY: both arrays lie on the device and have as many bytes.
        let done =
            unsafe { sys::cuMemcpyDtoDAsync_v2(self.address, other.address, self.bytes(), stream) };
        check_raw(done)
    }

    const fn bytes(&self) -> usize {
        self.len * size_of::<T>()
    }
}

impl<T: Element> Drop for DeviceSlice<T> {
    fn drop(&mut self) {
        if self.is_owned && self.len > 0 && self.gpu.device().enter().is_ok() {
            // SAFETY: the address came from `cuda_malloc` and is freed here alone. The driver waits for
            // kernels that use it. A failure has nowhere to go; the next call reports the device's state.
            let _ = unsafe { cuda_free::<T::Bits>(DevicePointer::from_raw(self.address)) };
        }
    }
}
