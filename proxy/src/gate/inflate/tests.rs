use std::io::Write as _;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::*;

const CODINGS: [Coding; 3] = [Coding::Gzip, Coding::Deflate, Coding::Zstd];

fn deflated(coding: Coding, plain: &[u8]) -> Vec<u8> {
    match coding {
        Coding::Gzip => {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Deflate => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        }
        Coding::Zstd => ::zstd::encode_all(plain, 3).unwrap(),
        Coding::Identity | Coding::Brotli | Coding::Other => panic!("{coding:?}"),
    }
}

/// A stream of brotli with one stored block, RFC 7932, section 9: there is no encoder in the house.
fn brotli_stored(plain: &[u8]) -> Vec<u8> {
    let length = u32::try_from(plain.len() - 1).unwrap();
    // A window of 16 bits, not the last block, four digits of length, stored.
    let head = (length << 4) | (1 << 20);
    [&head.to_le_bytes()[..3], plain, &[0x03]].concat()
}

const WIDE: Cap = Cap { bytes: 1 << 20, ratio: 1_000_000 };

fn plain(length: usize) -> Vec<u8> {
    // Neither constant nor random: a ratio of a few.
    (0..length).map(|at| b'a' + u8::try_from((at * at / 7) % 26).unwrap()).collect()
}

#[test]
fn a_body_comes_out_as_it_went_in() {
    for coding in CODINGS {
        for length in [0, 1, 1000, 70_000, 1 << 20] {
            let plain = plain(length);
            let inflated = inflate(coding, &deflated(coding, &plain), WIDE).unwrap();
            assert!(inflated.is_whole, "{coding:?} {length}");
            assert!(inflated.bytes == plain, "{coding:?} {length}");
        }
    }
    let identity = inflate(Coding::Identity, b"as it is", WIDE).unwrap();
    assert_eq!(identity.bytes.as_ref(), b"as it is");
}

#[test]
fn one_under_at_and_one_over_the_size() {
    for coding in CODINGS {
        let body = deflated(coding, &plain(10_000));
        for (bytes, length, is_whole) in
            [(10_001, 10_000, true), (10_000, 10_000, true), (9_999, 9_999, false)]
        {
            let inflated = inflate(coding, &body, Cap { bytes, ..WIDE }).unwrap();
            assert_eq!((inflated.bytes.len(), inflated.is_whole), (length, is_whole), "{coding:?}");
        }
    }
}

#[test]
fn a_bomb_is_left_at_the_ratio_and_never_written_out() {
    for coding in CODINGS {
        let body = deflated(coding, &vec![b'a'; 50 << 20]);
        let cap = Cap { bytes: 1 << 30, ratio: 100 };
        assert_eq!(inflate(coding, &body, cap), Err(Trouble::TooDense), "{coding:?}");
        let cap = Cap { bytes: 1000, ratio: 100 };
        assert_eq!(inflate(coding, &body, cap).unwrap().bytes.len(), 1000, "{coding:?}");
    }
}

#[test]
fn what_two_decoders_could_read_in_two_ways_is_broken() {
    for coding in CODINGS {
        let body = deflated(coding, b"a=1");
        let mut broken = vec![
            b"".to_vec(),
            b"a=1".to_vec(),
            body[..body.len() - 1].to_vec(),
            [body.as_slice(), b"&b=2"].concat(),
        ];
        if coding != Coding::Gzip {
            broken.push([body.as_slice(), &body].concat());
        }
        for body in broken {
            assert_eq!(inflate(coding, &body, WIDE), Err(Trouble::Broken), "{coding:?} {body:x?}");
        }
    }
    let twice = deflated(Coding::Gzip, b"a=1").repeat(2);
    assert_eq!(inflate(Coding::Gzip, &twice, WIDE).unwrap().bytes.as_ref(), b"a=1a=1");
    assert_eq!(inflate(Coding::Other, b"x", WIDE), Err(Trouble::Broken));
    // A frame of an earlier format, 0.7.
    let earlier = [0x27, 0xb5, 0x2f, 0xfd, 0, 0, 0, 0];
    assert_eq!(inflate(Coding::Zstd, &earlier, WIDE), Err(Trouble::Broken));
}

#[test]
fn brotli_is_read_to_its_end_and_not_beyond() {
    for length in [1, 19, 16 * 1024, 40_000] {
        let plain = plain(length);
        let inflated = inflate(Coding::Brotli, &brotli_stored(&plain), WIDE).unwrap();
        assert!(inflated.bytes == plain && inflated.is_whole, "{length}");
    }
    let hello = brotli_stored(b"hello, hello, hello");
    let cap = Cap { bytes: 5, ..WIDE };
    let start = inflate(Coding::Brotli, &hello, cap).unwrap();
    assert_eq!((start.bytes.as_ref(), start.is_whole), (&b"hello"[..], false));
    for body in [&hello[..8], b"", &[hello.as_slice(), b"x"].concat()] {
        assert_eq!(inflate(Coding::Brotli, body, WIDE), Err(Trouble::Broken), "{body:x?}");
    }
}

#[test]
fn exactly_one_coding_is_read() {
    let of = |values: &[&str]| {
        let values = values.iter().map(|value| (CONTENT_ENCODING, value.parse().unwrap()));
        Coding::of(&values.collect())
    };
    for (values, expected) in [
        (&[][..], Coding::Identity),
        (&["identity"], Coding::Identity),
        (&["GZIP"], Coding::Gzip),
        (&["x-gzip"], Coding::Gzip),
        (&["deflate"], Coding::Deflate),
        (&["br"], Coding::Brotli),
        (&["identity, zstd"], Coding::Zstd),
        (&["gzip, br"], Coding::Other),
        (&["gzip", "gzip"], Coding::Other),
        (&["compress"], Coding::Other),
        (&[""], Coding::Other),
    ] {
        assert_eq!(of(values), expected, "{values:?}");
    }
}
