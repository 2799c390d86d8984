//! Tests of DER: integers, flags, lengths and times at their limits.

use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use stickler_auth::der::{DerError, Fault, MAX_DEPTH, Primitive, Reader, Writer, tag};
use stickler_auth::kerberos::KerberosTime;
use stickler_auth::kerberos::message::PaEncTsEnc;

#[test]
fn lengths_are_as_short_as_can_be_and_nothing_else_is_read() {
    for (len, head) in [
        (0, &[4, 0][..]),
        (0x7F, &[4, 0x7F]),
        (0x80, &[4, 0x81, 0x80]),
        (0xFF, &[4, 0x81, 0xFF]),
        (0x100, &[4, 0x82, 1, 0]),
        (0x1_0000, &[4, 0x83, 1, 0, 0]),
    ] {
        let contents = vec![7; len];
        let flat = Writer::encode(|w| w.octets(&contents));
        assert_eq!((&flat[..head.len()], flat.len()), (head, head.len() + len));
        assert_eq!(Reader::new(&flat).octets().unwrap(), contents);
        let nested = Writer::encode(|w| w.nested(4, |w| w.raw(&contents)));
        assert_eq!(nested, flat);
    }
    for (bytes, fault) in [
        (&[4, 0x80, 0, 0][..], Fault::Indefinite),
        (&[4, 0x81, 1, 9], Fault::NonMinimal),
        (&[4, 0x82, 0, 1, 9], Fault::NonMinimal),
        (&[4, 0x85, 1, 0, 0, 0, 0], Fault::Truncated),
        (&[4, 0xFF], Fault::Truncated),
        (&[4, 0x84, 0xFF, 0xFF, 0xFF, 0xFF], Fault::Truncated),
        (&[4, 2, 9], Fault::Truncated),
        (&[4], Fault::Truncated),
        (&[], Fault::Truncated),
        (&[0x1F, 0x81, 1, 0], Fault::LongTag),
    ] {
        assert_eq!(Reader::new(bytes).any().unwrap_err(), DerError { at: 0, fault }, "{bytes:02x?}");
    }
}

#[test]
fn nesting_ends_somewhere() {
    let deep = |levels| (0..levels).fold(vec![], |inner, _| Writer::encode(|w| w.sequence(|w| w.raw(&inner))));
    let depth = |bytes: &[u8]| {
        let mut r = Reader::new(bytes);
        loop {
            match r.nested(tag::SEQUENCE) {
                Ok(inner) if inner.is_empty() => return Ok(()),
                Ok(inner) => r = inner,
                Err(error) => return Err(error.fault),
            }
        }
    };
    assert_eq!(depth(&deep(MAX_DEPTH)), Ok(()));
    assert_eq!(depth(&deep(MAX_DEPTH + 1)), Err(Fault::TooDeep));
}

#[test]
fn flags_are_the_first_32_bits_whatever_the_length() {
    for (bytes, flags) in [
        (&[3, 5, 0, 0x40, 0x81, 0, 0x10][..], 0x4081_0010),
        (&[3, 2, 7, 0x80], 0x8000_0000),
        (&[3, 2, 7, 0xFF], 0x8000_0000),
        (&[3, 6, 0, 1, 2, 3, 4, 5], 0x0102_0304),
        (&[3, 1, 0], 0),
    ] {
        assert_eq!(Reader::new(bytes).flags(), Ok(flags), "{bytes:02x?}");
    }
    for bytes in [&[3, 0][..], &[3, 1, 1], &[3, 2, 8, 0]] {
        assert!(Reader::new(bytes).flags().is_err(), "{bytes:02x?}");
    }
}

fn time(text: &str) -> Option<KerberosTime> {
    let der = Writer::encode(|w| w.sequence(|w| w.field(0, |w| w.value(tag::GENERALIZED_TIME, text.as_bytes()))));
    PaEncTsEnc::decode(&der).ok().map(|decoded| decoded.time)
}

#[test]
fn times_are_those_of_the_calendar() {
    for (text, seconds) in [
        ("19700101000000Z", 0),
        ("20000229120000Z", 951_825_600),
        ("20261122021013Z", 1_795_313_413),
        ("20370913024805Z", 2_136_422_885),
        ("99991231235959Z", 253_402_300_799),
    ] {
        assert_eq!(time(text), Some(KerberosTime(seconds)), "{text}");
        assert_eq!(KerberosTime(seconds).to_string(), text);
    }
    for text in [
        "19691231235959Z",
        "20230229000000Z",
        "20241301000000Z",
        "20240100000000Z",
        "20240101240000Z",
        "2024010100000Z",
        "20240101000000",
        "20240101000000.5Z",
        "2024010100000xZ",
    ] {
        assert_eq!(time(text), None, "{text}");
    }
    assert_eq!(KerberosTime(u64::MAX).to_string(), "99991231235959Z");
}

proptest! {
    #[test]
    fn integers_are_read_as_written(value: i64) {
        let der = Writer::encode(|w| w.integer(value));
        prop_assert_eq!(Reader::new(&der).integer(), Ok(value));
        prop_assert_eq!(Reader::new(&der).int32().ok(), i32::try_from(value).ok());
    }

    #[test]
    fn a_field_read_in_one_step_is_the_field_read_in_two(
        mut der in prop_oneof![
            any::<i64>().prop_map(|value| Writer::encode(|w| w.field(1, |w| w.integer(value)))),
            vec(any::<u8>(), 0..300).prop_map(|bytes| Writer::encode(|w| w.field(1, |w| w.octets(&bytes)))),
            "\\PC{0,70}".prop_map(|text| Writer::encode(|w| w.field(1, |w| w.string(&text)))),
        ],
        at: Index,
        byte: u8,
        change: bool,
        cut: Index,
    ) {
        fn same<'a, P: Primitive<'a> + PartialEq + Debug>(der: &'a [u8]) {
            let (mut one, mut two) = (Reader::new(der), Reader::new(der));
            let read = one.primitive_field::<P>(1);
            assert_eq!(read, two.field(1, Reader::primitive));
            if read.is_ok() {
                assert_eq!((one.rest(), one.error(Fault::Trailing)), (two.rest(), two.error(Fault::Trailing)));
            }
        }
        if change {
            // Most changes are in the heads, which contain lengths and tags.
            let at = at.index(der.len().min(6));
            der[at] = byte;
        } else {
            der.extend_from_slice(&[byte; 3]);
        }
        for der in [&der[..], &der[..cut.index(der.len() + 1)]] {
            same::<i64>(der);
            same::<i32>(der);
            same::<u32>(der);
            same::<&[u8]>(der);
            same::<&str>(der);
        }
    }

    #[test]
    fn small_integers_are_read_as_written(value: i16) {
        let der = Writer::encode(|w| w.integer(value.into()));
        prop_assert_eq!(Reader::new(&der).int32(), Ok(value.into()));
        prop_assert_eq!(Reader::new(&der).uint32(), Ok(i32::from(value).cast_unsigned()));
        prop_assert!(der.len() <= 4);
    }

    #[test]
    fn every_time_survives_its_text(seconds in 0..=KerberosTime::MAX.0) {
        prop_assert_eq!(time(&KerberosTime(seconds).to_string()), Some(KerberosTime(seconds)));
    }
}
