//! Takes an image apart as a multimodal model would, and puts it together again, pixel for pixel:
//! `cargo run --release --example image [IN.png [OUT.png]]`; `--draw OUT.png` draws the picture in `assets`.
//!
//! Bytes become patches, patches numbers within [-1, 1], each is a vector that is rotated by its place
//! behind a caption (RoPE-Tie, version 2), and all of it is undone.

use std::fs::File;
use std::io::{BufReader, BufWriter};

use suanzi::patch::{Padding, Patches, bytes_to_unit, code_bits, unit_to_bytes, vocabulary_bits};
use suanzi::position::{
    Axes, AxialRope, Base, Cursor, HeadLayout, Pairing, Placement, PositionEncoding,
};

/// What fails, in words.
type Fault = Box<dyn core::error::Error>;

/// The picture that is taken apart unless another is named.
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/picture.png");
/// The side of a patch.
const SIDE: usize = 8;
/// The tokens of a caption before the image.
const CAPTION: usize = 5;

/// The pixels of an image, bytes row by row.
struct Image {
    width: usize,
    height: usize,
    color: png::ColorType,
    bytes: Vec<u8>,
}

impl Image {
    /// Reads eight-bit gray or color, with or without transparency.
    fn read(path: &str) -> Result<Self, Fault> {
        let file = File::open(path)
            .map_err(|error| format!("cannot read {path}: {error}; name a PNG file"))?;
        let mut reader = png::Decoder::new(BufReader::new(file)).read_info()?;
        let size = reader
            .output_buffer_size()
            .ok_or("the image is too large for this computer")?;
        let mut bytes = vec![0; size];
        let info = reader.next_frame(&mut bytes)?;
        if info.bit_depth != png::BitDepth::Eight || info.color_type == png::ColorType::Indexed {
            return Err("the image has no eight bits a channel; convert it to RGB first".into());
        }
        bytes.truncate(info.buffer_size());
        Ok(Self {
            width: info.width as usize,
            height: info.height as usize,
            color: info.color_type,
            bytes,
        })
    }

    fn write(&self, path: &str) -> Result<(), Fault> {
        let file = BufWriter::new(File::create(path)?);
        // Sides came from a file, or from a constant.
        let mut encoder = png::Encoder::new(file, self.width as u32, self.height as u32);
        encoder.set_color(self.color);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header()?.write_image_data(&self.bytes)?;
        Ok(())
    }

    /// A sun over waves, by a formula; 92 rows, which patches of eight do not divide.
    fn drawn() -> Self {
        let (width, height) = (128, 92);
        let mut bytes = Vec::with_capacity(width * height * 3);
        for row in 0..height {
            for column in 0..width {
                let (x, y) = (column as f64, row as f64);
                let sun = ((x - 88.0).powi(2) + (y - 30.0).powi(2)).sqrt();
                let wave = 62.0 + 4.0 * (x / 9.0).sin() + 2.0 * (x / 3.7 + 1.0).sin();
                let color = if y > wave {
                    let depth = (y - wave) / 40.0;
                    [20.0, 110.0 - 60.0 * depth, 160.0 - 70.0 * depth]
                } else if sun < 17.0 {
                    [255.0, 214.0 - 4.0 * sun, 90.0]
                } else {
                    let glow = 60.0 * (-(sun - 17.0) / 20.0).exp();
                    [150.0 + glow + 0.6 * y, 190.0 + 0.5 * glow, 235.0 - y]
                };
                bytes.extend(color.map(|c| c as u8));
            }
        }
        Self {
            width,
            height,
            color: png::ColorType::Rgb,
            bytes,
        }
    }
}

fn main() -> Result<(), Fault> {
    let mut arguments = std::env::args().skip(1);
    let from = arguments.next().unwrap_or_else(|| PICTURE.into());
    if from == "--draw" {
        let to = arguments.next().unwrap_or_else(|| PICTURE.into());
        return Image::drawn().write(&to);
    }
    let to = arguments.next();
    let image = Image::read(&from)?;
    let channels = image.color.samples();
    let patches = Patches::padded([image.height, image.width, channels], [SIDE, SIDE])?;
    let [rows, columns] = patches.grid();
    let len = patches.patch_len();

    // Bytes, patches, numbers: one vector a patch.
    let mut tokens = vec![0_u8; patches.patches_len()];
    patches.patchify_padded(&image.bytes, Padding::Edge, &mut tokens)?;
    let mut units = vec![0.0_f32; tokens.len()];
    bytes_to_unit(&tokens, &mut units)?;

    // Their places behind a caption, and the rotation by them: half of the pairs for each axis.
    let mut cursor = Cursor::<2>::new(Placement::TieCentered, 1);
    for _ in 0..CAPTION {
        cursor.text()?;
    }
    let sides = [rows as u32, columns as u32];
    let places = cursor.grid(sides)?;
    let layout = HeadLayout::new(len, Pairing::HalfSplit)?;
    let (pairs, base) = (layout.pairs(), Base::new(10_000.0)?);
    let axes = Axes::Interleaved([pairs - pairs / 2, pairs / 2]);
    let rope = AxialRope::<f32, _, 2>::new(layout, axes, &base, vec![0; pairs])?;
    let mut vectors = units.clone();
    rope.rotate_each(places.clone(), &mut vectors)?;
    let (first, last) = (places.clone().next(), places.clone().last());

    // Back: by the inverse rotation, to the nearest byte, into the image.
    for (place, vector) in places.zip(vectors.chunks_exact_mut(len)) {
        rope.unrotate(place, vector)?;
    }
    let off = units
        .iter()
        .zip(&vectors)
        .fold(0.0_f32, |off, (a, b)| off.max((a - b).abs()));
    unit_to_bytes(&vectors, &mut tokens)?;
    let mut again = Image {
        bytes: vec![0; image.bytes.len()],
        ..image
    };
    patches.unpatchify(&tokens, &mut again.bytes)?;

    println!(
        "{} x {} pixels, {channels} channels: {} patches of {len} numbers, {rows} rows of {columns}{}",
        image.width,
        image.height,
        patches.count(),
        if patches.is_padded() {
            ", with padding at the edges"
        } else {
            ""
        }
    );
    for (name, place) in [("first", first), ("last", last)] {
        let [row, column] = place.ok_or("no patch")?.map(f64::from);
        println!("the {name} patch stands at ({row}, {column})");
    }
    println!("text goes on at {}", cursor.next());
    println!("rotation there and back: off by {off:.1e} at most; a byte is 7.8e-3 wide");
    let bits = 8.0 * image.bytes.len() as f64;
    let count = patches.count() as u64;
    println!(
        "as a code of {count} words without loss, each is one of 2^{:.0}; a vocabulary of 2^16 holds {:.1} % of the bits",
        vocabulary_bits(bits, count)?,
        100.0 * code_bits(count, 1 << 16) / bits
    );
    if again.bytes != image.bytes {
        return Err("the image is another one".into());
    }
    if let Some(to) = to {
        again.write(&to)?;
        if Image::read(&to)?.bytes != image.bytes {
            return Err(format!("{to} holds another image").into());
        }
        println!("{to} has the same pixels");
    } else {
        println!("every pixel is back");
    }
    Ok(())
}
