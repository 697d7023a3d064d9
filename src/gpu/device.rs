//! A device: its context, its stream, its kernels, and the one place where kernels are launched.

use core::ffi::c_void;
use core::fmt;
use std::boxed::Box;
use std::string::String;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::vec::Vec;

use cust::CudaFlags;
use cust::context::{Context, CurrentContext};
use cust::device::DeviceAttribute;
use cust::error::CudaResult;
use cust::event::{Event, EventFlags};
use cust::function::Function;
use cust::stream::{Stream, StreamFlags};
use cust::sys;

use super::kernels::Kernels;
use super::slice::DeviceSlice;
use super::{Unavailable, driver};
use crate::Error;

/// Runs kernels on a device: a `Copy` token of a device that stays open, and of an arithmetic.
///
/// The [module](super) says what the arithmetics promise and when calls wait.
#[derive(Clone, Copy)]
pub struct Gpu {
    device: &'static Device,
    fused: bool,
}

/// What a device keeps for the life of the process.
pub(super) struct Device {
    ordinal: usize,
    name: String,
    context: Context,
    stream: Stream,
    kernels: Kernels,
    pub(super) multiprocessors: usize,
    /// Bytes of shared memory that a block may have.
    pub(super) most_shared: usize,
    /// Memory between the kernels of one operation. Who launches them holds it, so that operations of
    /// several threads do not mix; the stream keeps those that follow each other apart.
    workspace: Mutex<Option<DeviceSlice<f32>>>,
}

impl fmt::Debug for Gpu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gpu")
            .field("ordinal", &self.device.ordinal)
            .field("name", &self.device.name)
            .field("fused", &self.fused)
            .finish()
    }
}

impl Gpu {
    /// Opens a device, or returns it again if it is open.
    ///
    /// # Errors
    ///
    /// [`Unavailable::NoDriver`] and [`Unavailable::NoDevice`], [`Unavailable::Driver`] if the driver
    /// is too old for the kernels or fails.
    pub fn open(ordinal: usize) -> Result<Self, Unavailable> {
        static OPEN: Mutex<Vec<&'static Device>> = Mutex::new(Vec::new());
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let found = open.iter().find(|device| device.ordinal == ordinal);
        let device = match found {
            Some(device) => device,
            None => {
                let device: &Device = Box::leak(Box::new(Device::new(ordinal)?));
                open.push(device);
                device
            }
        };
        Ok(Self {
            device,
            fused: false,
        })
    }

    /// Returns this device with fused or portable arithmetic.
    #[must_use]
    pub const fn with_fused(self, fused: bool) -> Self {
        Self { fused, ..self }
    }

    /// Returns whether the arithmetic is the fused one.
    #[must_use]
    pub const fn is_fused(self) -> bool {
        self.fused
    }

    /// Returns the name that the driver has for the device.
    #[must_use]
    pub fn name(self) -> &'static str {
        &self.device.name
    }

    /// Waits until everything in the stream is done.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if something in the stream failed.
    pub fn synchronize(self) -> Result<(), Error> {
        self.device.enter()?;
        check(self.device.stream.synchronize())
    }

    /// Starts to measure the time of what follows in the stream.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if the driver has no event to spare.
    pub fn timer(self) -> Result<Timer, Error> {
        self.device.enter()?;
        let [start, end] = [(); 2].map(|()| Event::new(EventFlags::DEFAULT));
        let timer = Timer {
            gpu: self,
            start: check(start)?,
            end: check(end)?,
        };
        check(timer.start.record(&self.device.stream))?;
        Ok(timer)
    }

    pub(super) const fn device(self) -> &'static Device {
        self.device
    }

    /// Checks that a buffer lies on this device.
    pub(super) fn owns<T: super::Element>(self, slice: &DeviceSlice<T>) -> Result<(), Error> {
        if core::ptr::eq(self.device, slice.gpu().device) {
            Ok(())
        } else {
            Err(Error::Unsupported)
        }
    }
}

/// A measurement on the device's own clock.
pub struct Timer {
    gpu: Gpu,
    start: Event,
    end: Event,
}

impl fmt::Debug for Timer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timer").field("gpu", &self.gpu).finish()
    }
}

impl Timer {
    /// Waits for what has been put in the stream since the start; returns its milliseconds.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] if something in the stream failed.
    pub fn stop(self) -> Result<f32, Error> {
        self.gpu.device.enter()?;
        check(self.end.record(&self.gpu.device.stream))?;
        check(self.end.synchronize())?;
        check(self.end.elapsed_time_f32(&self.start))
    }
}

/// Returns pointers to the arguments of a kernel, as a launch takes them.
macro_rules! arguments {
    ($($argument:ident),*) => {
        [$((&raw mut $argument).cast()),*]
    };
}
pub(super) use arguments;

/// The extent of a launch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub(super) grid: (usize, usize),
    pub(super) threads: usize,
    /// Floats of dynamic shared memory.
    pub(super) shared: usize,
}

impl Device {
    fn new(ordinal: usize) -> Result<Self, Unavailable> {
        if !driver::is_present() {
            return Err(Unavailable::NoDriver);
        }
        fn call<T>(result: CudaResult<T>) -> Result<T, Unavailable> {
            result.map_err(|_| match driver::last_result() {
                driver::NO_DEVICE => Unavailable::NoDevice { count: 0 },
                code => Unavailable::Driver(code),
            })
        }
        call(cust::init(CudaFlags::empty()))?;
        let count = call(cust::device::Device::num_devices())? as usize;
        let number = match u32::try_from(ordinal) {
            Ok(number) if ordinal < count => number,
            _ => return Err(Unavailable::NoDevice { count }),
        };
        let device = call(cust::device::Device::get_device(number))?;
        let attribute = |attribute| call(device.get_attribute(attribute).map(|n| n as usize));
        let most_shared = most_shared(device).map_err(Unavailable::Driver)?;
        Ok(Self {
            ordinal,
            name: call(device.name())?,
            context: call(Context::new(device))?,
            stream: call(Stream::new(StreamFlags::DEFAULT, None))?,
            kernels: call(Kernels::load(most_shared))?,
            multiprocessors: attribute(DeviceAttribute::MultiprocessorCount)?,
            most_shared,
            workspace: Mutex::new(None),
        })
    }

    /// Makes the device's context the one of this thread.
    pub(super) fn enter(&self) -> Result<(), Error> {
        check(CurrentContext::set_current(&self.context))
    }

    pub(super) const fn stream(&self) -> &Stream {
        &self.stream
    }

    pub(super) const fn kernels(&self) -> &Kernels {
        &self.kernels
    }

    /// Returns the workspace, with room for `len` elements at least.
    ///
    /// It grows by a new allocation, which waits for the stream.
    pub(super) fn workspace(
        &self,
        gpu: Gpu,
        len: usize,
    ) -> Result<MutexGuard<'_, Option<DeviceSlice<f32>>>, Error> {
        let mut workspace = self
            .workspace
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if workspace.as_ref().is_none_or(|w| w.len() < len) {
            *workspace = None;
            *workspace = Some(DeviceSlice::uninitialized(gpu, len)?);
        }
        Ok(workspace)
    }

    /// Puts a kernel in the stream.
    ///
    /// # Safety
    ///
    /// * `arguments` has a pointer to a value of the right type for each parameter of the kernel.
    /// * Every address among them points to memory of this device that is alive, holds as many elements
    ///   as the kernel touches for the other arguments and this extent, and is aligned to 16 bytes.
    /// * The extent is one that the kernel is written for.
    pub(super) unsafe fn launch(
        &self,
        kernel: &Function<'_>,
        extent: Extent,
        arguments: &[*mut c_void],
    ) -> Result<(), Error> {
        let Extent {
            grid: (x, y),
            threads,
            shared,
        } = extent;
        debug_assert!(x > 0 && y > 0 && y <= MOST_Y && threads > 0 && threads <= 1024);
        debug_assert!(shared * size_of::<f32>() <= self.most_shared);
        self.enter()?;
        let grid = (x as u32, y as u32);
        let bytes = (shared * size_of::<f32>()) as u32;
        // SAFETY: the caller's promises are those of the driver.
        check(unsafe {
            self.stream
                .launch(kernel, grid, threads as u32, bytes, arguments)
        })
    }
}

/// Returns the bytes of shared memory that a block may have if it asks; `cust` has no name for it.
fn most_shared(device: cust::device::Device) -> Result<usize, i32> {
    let attribute = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN;
    let mut bytes = 0;
    // SAFETY: the device is one of the driver's, the pointer that of a local variable.
    let done = unsafe { sys::cuDeviceGetAttribute(&raw mut bytes, attribute, device.as_raw()) };
    if done == sys::CUresult::CUDA_SUCCESS {
        Ok(bytes as usize)
    } else {
        Err(driver::last_result())
    }
}

/// The greatest second side of a grid.
pub(super) const MOST_Y: usize = 65_535;

/// Returns the driver's own result for what failed.
pub(super) fn check<T>(result: CudaResult<T>) -> Result<T, Error> {
    result.map_err(|_| Error::Device(driver::last_result()))
}

/// Returns the driver's own result if a call of its own did not succeed.
pub(super) fn check_raw(result: sys::CUresult) -> Result<(), Error> {
    if result == sys::CUresult::CUDA_SUCCESS {
        Ok(())
    } else {
        Err(Error::Device(driver::last_result()))
    }
}
