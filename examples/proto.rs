use suanzi::{Cpu, Level, probability::softmax::softmax};
use std::time::Instant;
use std::mem::MaybeUninit;
fn ulp(r: f64) -> f64 { let a = (r.abs() as f32).max(f32::MIN_POSITIVE); (f32::from_bits(a.to_bits()+1) as f64) - a as f64 }
fn bench(mut f: impl FnMut()) -> f64 {
    let t = Instant::now(); let mut c = 0u64; while t.elapsed().as_secs_f64() < 0.02 { f(); c += 1; }
    let b = ((100e-6 / (t.elapsed().as_secs_f64() / c as f64)) as u64).max(1);
    let mut v = vec![]; let t0 = Instant::now();
    while t0.elapsed().as_secs_f64() < 0.15 { let t = Instant::now(); for _ in 0..b { f(); } v.push(t.elapsed().as_nanos() as f64 / b as f64); }
    v.sort_by(|a, b| a.total_cmp(b)); v[0]
}
fn main() {
    let mut s = 11u64;
    let mut rnd = || { s = s.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407); (s >> 11) as f64 / (1u64<<53) as f64 };
    for n in [128usize, 1024, 4096, 32768, 128256] {
        let x: Vec<f32> = (0..n).map(|_| { let (a,b)=(rnd().max(1e-300),rnd()); ((-2.0*a.ln()).sqrt()*(6.283185307*b).cos()*3.0) as f32 }).collect();
        let mut y = vec![0f32; n];
        let m = x.iter().fold(f64::MIN, |a,&b| a.max(b as f64));
        let sum: f64 = x.iter().map(|&v| (v as f64 - m).exp()).sum();
        let err = |y: &[f32]| x.iter().zip(y).map(|(&v,&g)| { let w=(v as f64-m).exp()/sum; if w > 2e-38 {(g as f64-w).abs()/ulp(w)} else {0.0} }).fold(0.0, f64::max);
        let mut rt = 0.0;
        for round in 0..3 {
        let r = bench(|| { let o: &mut [MaybeUninit<f32>] = unsafe { std::mem::transmute(&mut y[..]) }; rten_vecmath::Softmax::new(&x, o).into_out(); });
        rt = r; 
        if round < 2 { continue; }
        println!("n={n} rten {:.3} ns/el err {:.2}", r/n as f64, err(&y));
        }
        for l in Cpu::levels() { for fused in [false, true] {
            let c = Cpu::with(l).unwrap().with_fused(fused);
            let t = bench(|| softmax(c, &x, &mut y));
            let h = y.iter().fold(0u64, |h, v| (h ^ v.to_bits() as u64).wrapping_mul(0x100000001b3));
            println!("   {l:?} fused={fused} {:.3} ns/el x{:.2} err {:.2} {h:x}", t/n as f64, rt/t, err(&y));
        }}
    }
}
trait O { fn into_out(self); }
impl O for rten_vecmath::Softmax<'_, '_> { fn into_out(self) { use rten_simd::SimdOp; self.dispatch(); } }
