//! The smallest rotary base of each context length, 1k to 1M: `cargo run --release --example rope_base
//! [ROTARY_DIM]`.
//!
//! Beside it what two sources give for 128: Men et al. (2024, arXiv:2405.14591) from a list of bases, and
//! kexue.fm/archives/10122 from nested grids. Every search begins at the base before.

use std::io::Write as _;
use std::time::Instant;

use suanzi::position::{BaseSearch, asymptotic_base};

/// The published bases for 128 rotated elements: of the paper, of the article.
const PUBLISHED: [(&str, &str); 11] = [
    ("4.3e3", "4.3e3"),
    ("1.6e4", "1.2e4"),
    ("2.7e4", "2.7e4"),
    ("8.4e4", "8.4e4"),
    ("3.1e5", "2.3e5"),
    ("6.4e5", "6.3e5"),
    ("2.1e6", "2.1e6"),
    ("7.8e6", "4.9e6"),
    ("3.6e7", "2.4e7"),
    ("6.4e7", "5.8e7"),
    ("5.1e8", "6.5e7"),
];

fn main() -> Result<(), Box<dyn core::error::Error>> {
    let rotary_dim = std::env::args().nth(1).map_or(Ok(128), |x| x.parse())?;
    let search = BaseSearch::new(rotary_dim)?;
    println!("smallest base b with f(m) = sum cos(m b^(-2i/{rotary_dim})) >= 0 for all m < L");
    println!("       L                b     b/L   L/x0      article  paper     time");
    let (mut base, begin) = (1.5, Instant::now());
    for (doubled, (paper, article)) in PUBLISHED.iter().enumerate() {
        let (context, begin, mut scans) = (1024 << doubled, Instant::now(), 0_u32);
        base = search.smallest_base(context, base, |base| {
            scans += 1;
            if scans.is_multiple_of(64) {
                eprint!("\r{context:8} from {base:.0} on ...   ");
                let _ = std::io::stderr().flush();
            }
        })?;
        eprint!("\r");
        let holds = search.longest_context(base, context)? == context;
        let below = search.longest_context(base * (1.0 - 1e-9), context)? < context;
        if !(holds && below) {
            return Err(format!("{base} is not the smallest base for {context}").into());
        }
        let (paper, article) = if rotary_dim == 128 {
            (*paper, *article)
        } else {
            ("", "")
        };
        println!(
            "{context:8} {base:16.6} {:7.2} {:9.0} {article:>8} {paper:>6} {:6.2} s",
            base / f64::from(context),
            asymptotic_base(context),
            begin.elapsed().as_secs_f64()
        );
        if article.is_empty() {
            continue;
        }
        let digits = format!("{base:.1e}");
        if digits != article {
            return Err(format!("the article has {article}, not {digits}").into());
        }
    }
    println!(
        "all in {:.1} s; each holds, and one part in 1e9 below does not",
        begin.elapsed().as_secs_f64()
    );
    Ok(())
}
