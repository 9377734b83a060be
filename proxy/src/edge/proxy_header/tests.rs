use proptest::prelude::*;

use super::*;

/// A version 2 header around a block.
fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([command, family]);
    bytes.extend(u16::try_from(block.len()).unwrap().to_be_bytes());
    bytes.extend(block);
    bytes
}

fn ends(client: &str, server: &str) -> Option<Ends> {
    Some(Ends { client: client.parse().unwrap(), server: server.parse().unwrap() })
}

/// 192.0.2.7:4711 to 198.51.100.1:443, and a TLV.
const V4: &[u8] = &[192, 0, 2, 7, 198, 51, 100, 1, 0x12, 0x67, 0x01, 0xbb, 4, 0, 1, 0];

fn v6() -> Vec<u8> {
    let mut block = Vec::new();
    block.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
    block.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    block.extend([0x12, 0x67, 0x01, 0xbb]);
    block
}

/// Checks that a header is partial to its last byte, and then whole, whatever follows.
fn is_whole(header: &[u8], expected: Option<Ends>) {
    for cut in 0..header.len() {
        assert_eq!(
            classify(&header[..cut]),
            ProxyHeader::Partial,
            "{} cut at {cut}",
            header.escape_ascii()
        );
    }
    for behind in [&b""[..], b"GET / HTTP/1.1\r\n", b"PROXY UNKNOWN\r\n"] {
        assert_eq!(
            classify(&[header, behind].concat()),
            ProxyHeader::Whole { bytes: header.len(), ends: expected },
            "{}",
            header.escape_ascii()
        );
    }
}

#[test]
fn a_line_names_both_ends() {
    let v4 = ends("192.0.2.7:4711", "198.51.100.1:443");
    is_whole(b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n", v4);
    let v6 = ends("[2001:db8::7]:65535", "[2001:db8::1]:0");
    is_whole(b"PROXY TCP6 2001:db8::7 2001:db8::1 65535 0\r\n", v6);
    is_whole(b"PROXY UNKNOWN\r\n", None);
    is_whole(b"PROXY UNKNOWN ffff::1 whatever stands here\r\n", None);
}

#[test]
fn a_binary_header_names_both_ends() {
    is_whole(&binary(0x21, 0x11, V4), ends("192.0.2.7:4711", "198.51.100.1:443"));
    is_whole(&binary(0x21, 0x21, &v6()), ends("[2001:db8::7]:4711", "[2001:db8::1]:443"));
}

#[test]
fn what_names_no_address_of_tcp_over_ip_is_the_proxys_own() {
    is_whole(&binary(0x20, 0x00, b""), None);
    is_whole(&binary(0x20, 0x11, V4), None);
    is_whole(&binary(0x20, 0xff, b"x"), None);
    is_whole(&binary(0x21, 0x00, b""), None);
    is_whole(&binary(0x21, 0x12, V4), None);
    is_whole(&binary(0x21, 0x31, &[b'/'; 216]), None);
}

#[test]
fn what_is_no_header_is_refused() {
    for line in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x16\x03\x01\x02\x00",
        b"proxy TCP4 192.0.2.7 198.51.100.1 4711 443\r\n",
        b"PROXY\r\n",
        b"PROXY \r\n",
        b"PROXY TCP5 192.0.2.7 198.51.100.1 4711 443\r\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443 \r\n",
        b"PROXY TCP4  192.0.2.7 198.51.100.1 4711 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 65536\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 +443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 04711 443\r\n",
        b"PROXY TCP4 192.0.2.007 198.51.100.1 4711 443\r\n",
        b"PROXY TCP4 2001:db8::7 2001:db8::1 4711 443\r\n",
        b"PROXY TCP6 192.0.2.7 198.51.100.1 4711 443\r\n",
        b"PROXY TCP6 fe80::1%eth0 2001:db8::1 4711 443\r\n",
        b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\nPROXY\r\n",
    ] {
        assert_eq!(classify(line), ProxyHeader::Other, "{}", line.escape_ascii());
    }
    for (command, family, block) in [
        (0x11, 0x11, V4),
        (0x22, 0x11, V4),
        (0x31, 0x11, V4),
        (0x21, 0x13, V4),
        (0x21, 0x41, V4),
        (0x21, 0x11, &V4[..11]),
        (0x21, 0x21, V4),
    ] {
        let header = binary(command, family, block);
        assert_eq!(classify(&header), ProxyHeader::Other, "{}", header.escape_ascii());
    }
}

#[test]
fn a_line_and_a_binary_header_are_read_up_to_their_limits() {
    let line = |bytes: usize| {
        let mut line = b"PROXY UNKNOWN ".to_vec();
        line.resize(bytes - 2, b'x');
        [&line, &b"\r\n"[..]].concat()
    };
    let block = |bytes: usize| [V4, &vec![0; bytes - FIXED_BYTES - V4.len()]].concat();
    let v4 = ends("192.0.2.7:4711", "198.51.100.1:443");
    for (what, more) in [("one under", -1), ("at it", 0), ("one over", 1_isize)] {
        let (of_line, bytes) = (
            LINE_BYTES_MAX.strict_add_signed(more),
            PROXY_HEADER_BYTES_MAX.strict_add_signed(more),
        );
        let header = binary(0x21, 0x11, &block(bytes));
        if more <= 0 {
            is_whole(&line(of_line), None);
            assert_eq!(classify(&header), ProxyHeader::Whole { bytes, ends: v4 }, "{what}");
        } else {
            assert_eq!(classify(&line(of_line)), ProxyHeader::Other, "{what}");
            assert_eq!(
                classify(&header[..FIXED_BYTES]),
                ProxyHeader::Other,
                "{what}: by its length"
            );
        }
    }
}

/// Bytes that often look like a header.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let rest = || proptest::collection::vec(any::<u8>(), 0..300);
    prop_oneof![
        rest(),
        rest().prop_map(|rest| [LINE_START, &rest].concat()),
        ("[TCP46UNKOW]{4,7}( [0-9a-f:.]{0,12}){0,5}\r\n").prop_map(|rest| [
            LINE_START,
            rest.as_bytes()
        ]
        .concat()),
        (0x1f_u8..0x23, any::<u8>(), rest())
            .prop_map(|(command, family, block)| binary(command, family, &block)),
    ]
}

proptest! {
    #[test]
    fn any_bytes_have_one_reading_that_more_bytes_do_not_change(bytes in bytes(), more in bytes()) {
        let read = classify(&bytes);
        match read {
            ProxyHeader::Partial => prop_assert!(bytes.len() < PROXY_HEADER_BYTES_MAX),
            ProxyHeader::Whole { bytes: length, .. } => prop_assert!(length <= bytes.len()),
            ProxyHeader::Other => {}
        }
        if read != ProxyHeader::Partial {
            prop_assert_eq!(classify(&[bytes, more].concat()), read);
        }
    }
}
