use std::path::PathBuf;
use std::sync::Arc;

use super::*;

/// The published test databases stand beside the repository, where there are any.
fn vectors() -> Option<PathBuf> {
    let beside = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    let shared = std::env::var_os("PORTCULLIS_SHARED")
        .map_or_else(|| beside.join("shared"), PathBuf::from)
        .join("vectors/maxmind");
    if shared.is_dir() {
        return Some(shared);
    }
    assert!(std::env::var_os("REQUIRE_ALL").is_none(), "MaxMind's test databases are required");
    eprintln!("skipped: MaxMind's test databases are not beside the repository");
    None
}

fn test_database(name: &str) -> Option<Vec<u8>> {
    Some(std::fs::read(vectors()?.join("test-data").join(name)).unwrap())
}

#[test]
fn what_is_no_database_is_refused() {
    for bytes in [&b""[..], b"not a database", &[0; 4096]] {
        assert!(matches!(Country::new(bytes.to_vec(), None), Err(GeoError::Format(_))));
        assert!(matches!(Networks::new(bytes.to_vec()), Err(GeoError::Format(_))));
    }
}

#[test]
fn addresses_have_the_countries_of_country_and_city_databases() {
    for name in ["GeoIP2-Country-Test.mmdb", "GeoIP2-City-Test.mmdb", "GeoLite2-City-Test.mmdb"] {
        let Some(bytes) = test_database(name) else { return };
        let country = Country::new(bytes, None).unwrap();
        for (address, expected) in [
            ("2.125.160.216", "GB"),
            ("::ffff:2.125.160.216", "GB"),
            ("192.0.2.1", ""),
            ("127.0.0.1", ""),
        ] {
            assert_eq!(country.region_code(address.parse().unwrap()), expected, "{name} {address}");
        }
        assert!(country.describe().1 > 1_500_000_000, "{country:?}");
    }
}

#[test]
fn addresses_have_places_where_the_database_has_positions() {
    let Some(bytes) = test_database("GeoIP2-City-Test.mmdb") else { return };
    let city = Country::new(bytes, None).unwrap();
    let place = |address: &str| city.place(address.parse().unwrap());
    let found = place("2.125.160.216").unwrap();
    assert_eq!((found.latitude, found.longitude, found.accuracy_km), (51.75, -1.25, 100.0));
    assert_eq!(place("192.0.2.1"), None);
    let bytes = test_database("GeoIP2-Country-Test.mmdb").unwrap();
    let country = Country::new(bytes, None).unwrap();
    assert_eq!(country.place("2.125.160.216".parse().unwrap()), None);
}

#[test]
fn addresses_have_the_numbers_of_the_networks_database() {
    let Some(bytes) = test_database("GeoLite2-ASN-Test.mmdb") else { return };
    let networks = Networks::new(bytes).unwrap();
    for (address, expected) in
        [("1.128.0.0", 1221), ("::ffff:1.128.0.1", 1221), ("2600:6000::1", 237), ("192.0.2.1", 0)]
    {
        assert_eq!(networks.asn(address.parse().unwrap()), expected, "{address}");
    }
}

#[test]
fn a_database_of_something_else_is_refused() {
    let Some(bytes) = test_database("GeoLite2-ASN-Test.mmdb") else { return };
    let error = Country::new(bytes, None).unwrap_err();
    assert!(error.to_string().contains("`GeoLite2-ASN`"), "{error}");
    let bytes = test_database("GeoIP2-Country-Test.mmdb").unwrap();
    let error = Networks::new(bytes.clone()).unwrap_err();
    assert!(error.to_string().contains("autonomous systems"), "{error}");
    let error = Country::new(bytes, Some(b"2001:db8::,2001:db8::1,DE\n")).unwrap_err();
    assert!(matches!(error, GeoError::TwoFamilies), "{error}");
}

#[test]
fn a_truncated_database_is_refused_wherever_it_is_cut() {
    let Some(bytes) = test_database("GeoIP2-Country-Test.mmdb") else { return };
    for tenth in 0..10 {
        let cut = bytes[..bytes.len() * tenth / 10].to_vec();
        assert!(Country::new(cut, None).is_err(), "{tenth} tenths");
    }
    assert!(Country::new(bytes[..bytes.len() - 1].to_vec(), None).is_err());
}

/// Every malformed database, and every one of the test suite, opened as each kind: an error or answers, no panic, and
/// nothing that takes long. What opens is asked all over.
#[test]
fn malicious_databases_give_errors_or_answers_and_cost_little() {
    let Some(vectors) = vectors() else { return };
    let bad = ["libmaxminddb", "maxminddb-golang", "maxminddb-python"];
    let mut folders: Vec<_> = bad.iter().map(|one| vectors.join("bad-data").join(one)).collect();
    folders.push(vectors.join("test-data"));
    let addresses: Vec<IpAddr> =
        ["0.0.0.0", "1.1.1.1", "81.2.69.142", "255.255.255.255", "::", "2001:218::1"]
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
    let (mut tried, mut refused) = (0, 0);
    for file in folders.iter().flat_map(|folder| std::fs::read_dir(folder).unwrap()) {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        tried += 1;
        match Country::new(bytes.clone(), None) {
            Ok(country) => {
                addresses.iter().for_each(|ip| assert!(country.region_code(*ip).len() <= 2))
            }
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty(), "{}", path.display());
            }
        }
        if let Ok(networks) = Networks::new(bytes) {
            addresses.iter().for_each(|ip| drop(Arc::new(networks.asn(*ip))));
        }
    }
    assert!(tried >= 60 && refused >= 40, "{tried} tried, {refused} refused");
}

const V4: &str = "# Location Database Export\n# Generated: Tue, 04 Nov 2025 06:26:01 GMT\n\
    16777216,16777471,AU\n16777472,16778239,??\n16778240,16779263,cn\n4294967295,4294967295,DE\n";
const V6: &str =
    "# IPv6\n2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP\n2a00::,2a00::ffff,GB\n";

#[test]
fn text_ranges_answer_at_their_ends_and_not_beside_them() {
    let country = Country::new(V4.into(), Some(V6.as_bytes())).unwrap();
    for (address, expected) in [
        ("0.255.255.255", ""),
        ("1.0.0.0", "AU"),
        ("1.0.0.255", "AU"),
        ("1.0.1.0", ""),
        ("1.0.4.0", "CN"),
        ("1.0.7.255", "CN"),
        ("1.0.8.0", ""),
        ("255.255.255.255", "DE"),
        ("::ffff:1.0.0.7", "AU"),
        ("2001:200::", "JP"),
        ("2001:200:ffff:ffff:ffff:ffff:ffff:ffff", "JP"),
        ("2001:201::", ""),
        ("2a00::1:0", ""),
        ("::", ""),
    ] {
        assert_eq!(country.region_code(address.parse().unwrap()), expected, "{address}");
    }
    assert_eq!(country.describe(), ("text ranges", 1_762_237_561));
    let half = Country::new(V4.into(), None).unwrap();
    assert_eq!(half.region_code("2001:200::".parse().unwrap()), "");
}

#[test]
fn text_that_is_no_ranges_is_refused_with_its_line() {
    for (text, line, problem) in [
        ("1,2\n", 1, "`FIRST,LAST,CC`"),
        ("# x\n1,2,DE,x\n", 2, "`FIRST,LAST,CC`"),
        ("5,2,DE\n", 1, "no addresses in order"),
        ("1,2,DE\n2,3,DE\n", 2, "before the range above"),
        ("1,4294967296,DE\n", 1, "no addresses"),
        ("1,2,DEU\n", 1, "no code"),
        ("1,2,<b\n", 1, "no code"),
        ("# only a comment\n", 1, "not a single range"),
    ] {
        let error = Country::new(text.into(), None).unwrap_err().to_string();
        assert!(
            error.contains(&format!("line {line} ")) && error.contains(problem),
            "{text}: {error}"
        );
    }
}

/// Debian's own files, where the package is installed.
#[test]
fn the_ranges_of_debian_are_read() {
    let files = (std::fs::read("/usr/share/tor/geoip"), std::fs::read("/usr/share/tor/geoip6"));
    let (Ok(v4), Ok(v6)) = files else {
        assert!(std::env::var_os("REQUIRE_ALL").is_none(), "`tor-geoipdb` is required");
        eprintln!("skipped: `tor-geoipdb` is not installed");
        return;
    };
    let country = Country::new(v4, Some(&v6)).unwrap();
    assert_eq!(country.region_code("193.0.6.139".parse().unwrap()), "NL", "the RIPE NCC");
    assert_eq!(country.region_code("2001:200::1".parse().unwrap()), "JP", "the WIDE project");
    assert_eq!(country.region_code("192.0.2.1".parse().unwrap()), "");
    assert!(country.describe().1 > 1_700_000_000, "{country:?}");
}
