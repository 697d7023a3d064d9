//! The driver's functions that `cust` names, each forwarded to a libcuda that is opened at run time.
//!
//! `cust` links against libcuda, and a program that did would not start where there is none. The
//! archive that the linker finds instead (`gpu/stub`) is empty; the functions are these. The driver
//! is opened at the first call: the file that the variable `SUANZI_LIBCUDA` names, or else
//! `libcuda.so.1`. A function that is missing from the table is an error when a program is linked.

use core::cell::Cell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use std::ffi::CString;
use std::sync::OnceLock;

/// Any pointer; the functions are forwarded without a look at what is behind.
type P = *mut c_void;

/// `CUDA_ERROR_NO_DEVICE`: the answer of every function without a driver.
pub(super) const NO_DEVICE: i32 = 100;
/// `CUDA_ERROR_NOT_FOUND`: the answer of a function that the driver lacks.
const NOT_FOUND: i32 = 500;
/// `CUDA_ERROR_UNKNOWN`.
const UNKNOWN: i32 = 999;

/// Resolve every symbol at once, keep them to this library.
const RTLD_NOW: c_int = 2;

unsafe extern "C" {
    fn dlopen(name: *const c_char, flags: c_int) -> P;
    fn dlsym(library: P, name: *const c_char) -> P;
}

/// Returns the opened library, null if there is none.
fn library() -> P {
    static LIBRARY: OnceLock<AtomicPtr<c_void>> = OnceLock::new();
    let library = LIBRARY.get_or_init(|| {
        use std::os::unix::ffi::OsStrExt as _;
        let open = |name: &CStr| {
            // SAFETY: the name is a C string; libraries of this name are CUDA drivers, whose
            // initializers may run at any time.
            unsafe { dlopen(name.as_ptr(), RTLD_NOW) }
        };
        let found = match std::env::var_os("SUANZI_LIBCUDA") {
            Some(path) => CString::new(path.as_bytes()).map_or(null_mut(), |path| open(&path)),
            None => open(c"libcuda.so.1"),
        };
        AtomicPtr::new(found)
    });
    library.load(Ordering::Acquire)
}

/// Returns whether there is a driver; it may still have no device.
pub(super) fn is_present() -> bool {
    !library().is_null()
}

std::thread_local! {
    static LAST: Cell<i32> = const { Cell::new(0) };
}

/// Returns the last result on this thread as the driver gave it.
pub(super) fn last_result() -> i32 {
    LAST.with(Cell::get)
}

/// Notes a result and returns it, if `cust_raw` knows it.
///
/// It declares results as an enum of CUDA 11.4: to make one of another number is undefined.
fn known(result: i32) -> i32 {
    LAST.with(|last| last.set(result));
    match result {
        0..=8
        | 34
        | 100..=102
        | 200..=202
        | 205..=224
        | 300..=304
        | 400
        | 401
        | 500
        | 600
        | 700..=705
        | 708..=720
        | 800..=809
        | 900..=911
        | 999 => result,
        _ => UNKNOWN,
    }
}

/// Looks a function up once and keeps it in `slot`.
fn find(slot: &AtomicPtr<c_void>, name: &CStr) -> Result<P, i32> {
    let kept = slot.load(Ordering::Acquire);
    if !kept.is_null() {
        return Ok(kept);
    }
    if !is_present() {
        return Err(NO_DEVICE);
    }
    // SAFETY: the library is open and the name is a C string.
    let found = unsafe { dlsym(library(), name.as_ptr()) };
    if found.is_null() {
        return Err(NOT_FOUND);
    }
    slot.store(found, Ordering::Release);
    Ok(found)
}

/// Keeps a name out of a shared library's dynamic symbols, which the driver's own clients search: the
/// strictest visibility that any object gives a symbol wins.
macro_rules! hide {
    ($name:ident) => {
        core::arch::global_asm!(concat!(".hidden ", stringify!($name)));
    };
}

/// Defines the functions.
macro_rules! forward {
    ($($name:ident($($a:ident: $t:ty),*);)*) => {$(
        hide!($name);
        /// # Safety
        ///
        /// That of the driver's function of this name.
        #[unsafe(no_mangle)]
        #[allow(non_snake_case, clippy::too_many_arguments, reason = "the driver's names")]
        unsafe extern "C" fn $name($($a: $t),*) -> i32 {
            static SLOT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
            // SAFETY: the literal ends in its only zero.
            let name = unsafe {
                CStr::from_bytes_with_nul_unchecked(concat!(stringify!($name), "\0").as_bytes())
            };
            known(match find(&SLOT, name) {
                Ok(found) => {
                    // SAFETY: the driver's function of this name has this signature, with every
                    // pointer as one and every enum as the integer that represents it.
                    let function = unsafe {
                        core::mem::transmute::<P, unsafe extern "C" fn($($t),*) -> i32>(found)
                    };
                    // SAFETY: the caller's promise is the driver's.
                    unsafe { function($($a),*) }
                }
                Err(code) => code,
            })
        }
    )*};
}

hide!(cuGetErrorString);

/// Writes a text for a result. `cust` panics in its `Display` where this fails, so it never does.
///
/// # Safety
///
/// `out` points to a place for a pointer.
#[unsafe(no_mangle)]
#[allow(non_snake_case, reason = "the driver's name")]
unsafe extern "C" fn cuGetErrorString(code: i32, out: *mut *const c_char) -> i32 {
    static SLOT: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
    if let Ok(found) = find(&SLOT, c"cuGetErrorString") {
        // SAFETY: the driver's function of this name has this signature.
        let function = unsafe {
            core::mem::transmute::<P, unsafe extern "C" fn(i32, *mut *const c_char) -> i32>(found)
        };
        // SAFETY: `out` points to a place for a pointer, as the caller promises.
        let written = unsafe { function(code, out) == 0 && !(*out).is_null() };
        if written {
            return 0;
        }
    }
    // SAFETY: as above; the text is static.
    unsafe { *out = c"an error of the CUDA driver".as_ptr() };
    0
}

forward! {
    cuArray3DCreate_v2(a: P, b: P);
    cuArray3DGetDescriptor_v2(a: P, b: P);
    cuArrayDestroy(a: P);
    cuCtxCreate_v2(a: P, b: u32, c: i32);
    cuCtxDestroy_v2(a: P);
    cuCtxGetApiVersion(a: P, b: P);
    cuCtxGetCacheConfig(a: P);
    cuCtxGetCurrent(a: P);
    cuCtxGetDevice(a: P);
    cuCtxGetFlags(a: P);
    cuCtxGetLimit(a: P, b: i32);
    cuCtxGetSharedMemConfig(a: P);
    cuCtxGetStreamPriorityRange(a: P, b: P);
    cuCtxPopCurrent_v2(a: P);
    cuCtxPushCurrent_v2(a: P);
    cuCtxSetCacheConfig(a: i32);
    cuCtxSetCurrent(a: P);
    cuCtxSetLimit(a: i32, b: usize);
    cuCtxSetSharedMemConfig(a: i32);
    cuCtxSynchronize();
    cuDestroyExternalMemory(a: P);
    cuDeviceGet(a: P, b: i32);
    cuDeviceGetAttribute(a: P, b: i32, c: i32);
    cuDeviceGetCount(a: P);
    cuDeviceGetDefaultMemPool(a: P, b: i32);
    cuDeviceGetName(a: P, b: i32, c: i32);
    cuDeviceGetUuid(a: P, b: i32);
    cuDevicePrimaryCtxRelease_v2(a: i32);
    cuDevicePrimaryCtxReset_v2(a: i32);
    cuDevicePrimaryCtxRetain(a: P, b: i32);
    cuDevicePrimaryCtxSetFlags_v2(a: i32, b: u32);
    cuDeviceTotalMem_v2(a: P, b: i32);
    cuDriverGetVersion(a: P);
    cuEventCreate(a: P, b: u32);
    cuEventDestroy_v2(a: P);
    cuEventElapsedTime(a: P, b: P, c: P);
    cuEventQuery(a: P);
    cuEventRecord(a: P, b: P);
    cuEventSynchronize(a: P);
    cuExternalMemoryGetMappedBuffer(a: P, b: P, c: P);
    cuFuncGetAttribute(a: P, b: i32, c: P);
    cuFuncSetAttribute(a: P, b: i32, c: i32);
    cuFuncSetCacheConfig(a: P, b: i32);
    cuFuncSetSharedMemConfig(a: P, b: i32);
    cuGetErrorName(a: i32, b: P);
    cuGetProcAddress(a: P, b: P, c: i32, d: u64);
    cuGraphAddKernelNode(a: P, b: P, c: P, d: usize, e: P);
    cuGraphCreate(a: P, b: u32);
    cuGraphDebugDotPrint(a: P, b: P, c: u32);
    cuGraphDestroy(a: P);
    cuGraphExecDestroy(a: P);
    cuGraphExecKernelNodeSetParams(a: P, b: P, c: P);
    cuGraphGetEdges(a: P, b: P, c: P, d: P);
    cuGraphGetNodes(a: P, b: P, c: P);
    cuGraphInstantiateWithFlags(a: P, b: P, c: u64);
    cuGraphKernelNodeGetParams(a: P, b: P);
    cuGraphLaunch(a: P, b: P);
    cuGraphNodeGetType(a: P, b: P);
    cuImportExternalMemory(a: P, b: P);
    cuInit(a: u32);
    cuLaunchCooperativeKernel(a: P, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32, i: P, j: P);
    cuLaunchHostFunc(a: P, b: P, c: P);
    cuLaunchKernel(a: P, b: u32, c: u32, d: u32, e: u32, f: u32, g: u32, h: u32, i: P, j: P, k: P);
    cuLinkAddData_v2(a: P, b: i32, c: P, d: usize, e: P, f: u32, g: P, h: P);
    cuLinkComplete(a: P, b: P, c: P);
    cuLinkCreate_v2(a: u32, b: P, c: P, d: P);
    cuLinkDestroy(a: P);
    cuMemAdvise(a: u64, b: usize, c: i32, d: i32);
    cuMemAllocAsync(a: P, b: usize, c: P);
    cuMemAllocHost_v2(a: P, b: usize);
    cuMemAllocManaged(a: P, b: usize, c: u32);
    cuMemAlloc_v2(a: P, b: usize);
    cuMemFreeAsync(a: u64, b: P);
    cuMemFreeHost(a: P);
    cuMemFree_v2(a: u64);
    cuMemGetInfo_v2(a: P, b: P);
    cuMemHostRegister_v2(a: P, b: usize, c: u32);
    cuMemHostUnregister(a: P);
    cuMemPoolSetAttribute(a: P, b: i32, c: P);
    cuMemPrefetchAsync(a: u64, b: usize, c: i32, d: P);
    cuMemcpy2D_v2(a: P);
    cuMemcpyAsync(a: u64, b: u64, c: usize, d: P);
    cuMemcpyAtoH_v2(a: P, b: P, c: usize, d: usize);
    cuMemcpyDtoDAsync_v2(a: u64, b: u64, c: usize, d: P);
    cuMemcpyDtoD_v2(a: u64, b: u64, c: usize);
    cuMemcpyDtoHAsync_v2(a: P, b: u64, c: usize, d: P);
    cuMemcpyDtoH_v2(a: P, b: u64, c: usize);
    cuMemcpyHtoA_v2(a: P, b: usize, c: P, d: usize);
    cuMemcpyHtoDAsync_v2(a: u64, b: P, c: usize, d: P);
    cuMemcpyHtoD_v2(a: u64, b: P, c: usize);
    cuMemsetD16Async(a: u64, b: u16, c: usize, d: P);
    cuMemsetD16_v2(a: u64, b: u16, c: usize);
    cuMemsetD32Async(a: u64, b: u32, c: usize, d: P);
    cuMemsetD32_v2(a: u64, b: u32, c: usize);
    cuMemsetD8Async(a: u64, b: u8, c: usize, d: P);
    cuMemsetD8_v2(a: u64, b: u8, c: usize);
    cuModuleGetFunction(a: P, b: P, c: P);
    cuModuleGetGlobal_v2(a: P, b: P, c: P, d: P);
    cuModuleLoad(a: P, b: P);
    cuModuleLoadData(a: P, b: P);
    cuModuleLoadDataEx(a: P, b: P, c: u32, d: P, e: P);
    cuModuleUnload(a: P);
    cuOccupancyAvailableDynamicSMemPerBlock(a: P, b: P, c: i32, d: i32);
    cuOccupancyMaxActiveBlocksPerMultiprocessor(a: P, b: P, c: i32, d: usize);
    cuOccupancyMaxPotentialBlockSize(a: P, b: P, c: P, d: P, e: usize, f: i32);
    cuStreamBeginCapture_v2(a: P, b: i32);
    cuStreamCreate(a: P, b: u32);
    cuStreamCreateWithPriority(a: P, b: u32, c: i32);
    cuStreamDestroy_v2(a: P);
    cuStreamEndCapture(a: P, b: P);
    cuStreamGetFlags(a: P, b: P);
    cuStreamGetPriority(a: P, b: P);
    cuStreamIsCapturing(a: P, b: P);
    cuStreamQuery(a: P);
    cuStreamSynchronize(a: P);
    cuStreamWaitEvent(a: P, b: P, c: u32);
    cuSurfObjectCreate(a: P, b: P);
    cuSurfObjectDestroy(a: u64);
    cuSurfObjectGetResourceDesc(a: P, b: u64);
    cuTexObjectCreate(a: P, b: P, c: P, d: P);
    cuTexObjectDestroy(a: u64);
    cuTexObjectGetResourceDesc(a: P, b: u64);
    cuTexObjectGetResourceViewDesc(a: P, b: u64);
}
