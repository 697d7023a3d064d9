//! Patches of images of any size and layout: every pixel comes back, the index form says where each went, and
//! bytes survive the unit range.

#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use suanzi::patch::{
    Channels, Padding, Patches, bytes_to_unit, code_bits, least_code_len, unit_to_bytes,
};

#[derive(Arbitrary, Debug)]
struct Input {
    image: [u8; 3],
    patch: [u8; 2],
    first: [bool; 2],
    edge: bool,
    bytes: Vec<u8>,
    huge: ([usize; 3], [usize; 2]),
    number: f32,
    len: u16,
    vocabulary: u64,
}

fuzz_target!(|input: Input| {
    // Any sizes at all are taken or refused.
    let _ = Patches::padded(input.huge.0, input.huge.1);
    let [height, width, channels] = input.image.map(|side| usize::from(side % 40));
    let sides = input.patch.map(|side| usize::from(side % 24));
    let Ok(patches) = Patches::padded([height, width, channels], sides) else {
        assert!(height * width * channels * sides[0] * sides[1] == 0);
        return;
    };
    let of = |first| {
        if first {
            Channels::First
        } else {
            Channels::Last
        }
    };
    let patches = patches.with_channels(of(input.first[0]), of(input.first[1]));
    let image: Vec<u8> = (0..patches.image_len())
        .map(|i| input.bytes.get(i).copied().unwrap_or(i as u8))
        .collect();
    let padding = if input.edge {
        Padding::Edge
    } else {
        Padding::Value(77)
    };
    let mut tokens = vec![0; patches.patches_len()];
    patches
        .patchify_padded(&image, padding, &mut tokens)
        .unwrap();
    let mut inside = 0;
    for (n, token) in tokens.chunks(patches.patch_len()).enumerate() {
        for (f, &feature) in token.iter().enumerate() {
            match patches.index(n, f) {
                Some(at) => {
                    inside += 1;
                    assert_eq!(feature, image[at]);
                    assert_eq!(patches.place(at), Some((n, f)));
                }
                None => assert!(patches.is_padded() && (input.edge || feature == 77)),
            }
        }
    }
    assert_eq!(inside, image.len());

    // Through the unit range, and back.
    let mut units = vec![f32::NAN; tokens.len()];
    bytes_to_unit(&tokens, &mut units).unwrap();
    let mut bytes = vec![0; tokens.len()];
    unit_to_bytes(&units, &mut bytes).unwrap();
    let mut again = vec![0; image.len()];
    patches.unpatchify(&bytes, &mut again).unwrap();
    assert_eq!(again, image);
    let exact = patches.patchify(&image, &mut tokens);
    assert_eq!(exact.is_err(), patches.is_padded());

    // Any number has a byte; any code that holds the bits of a code is no longer.
    unit_to_bytes(&[input.number], &mut [0]).unwrap();
    let bits = code_bits(input.len.into(), input.vocabulary);
    if let Ok(len) = least_code_len(bits, input.vocabulary) {
        assert!(len <= u64::from(input.len) + 1);
    }
});
