//! Tests that `rasn-kerberos`, another codec of RFC 4120, reads the messages of this crate and writes the same bytes.

use rasn::der;
use rasn::{Decode, Encode};
use rasn_kerberos as theirs;

use crate::common::Vector;
use crate::samples::Samples;

/// Asserts that the other codec reads `bytes` and writes them again.
fn agree<T: Decode + Encode>(bytes: &[u8], what: &str) {
    let decoded: T = der::decode(bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(der::encode(&decoded).unwrap(), bytes, "{what}");
}

#[test]
fn another_codec_reads_every_message_and_writes_the_same_bytes() {
    let samples = Samples::new();
    agree::<theirs::AsReq>(&samples.as_req, "AS-REQ");
    agree::<theirs::AsRep>(&samples.as_rep, "AS-REP");
    agree::<theirs::TgsReq>(&samples.tgs_req, "TGS-REQ");
    agree::<theirs::TgsRep>(&samples.tgs_rep, "TGS-REP");
    agree::<theirs::KrbError>(&samples.error, "KRB-ERROR");
    agree::<theirs::EncAsRepPart>(&samples.enc_kdc_rep_part, "EncASRepPart");
    agree::<theirs::ApReq>(&samples.ap_req, "AP-REQ");
    agree::<theirs::ApRep>(&samples.ap_rep, "AP-REP");
    agree::<theirs::Ticket>(&samples.ticket, "Ticket");
    agree::<theirs::EncTicketPart>(&samples.enc_ticket_part, "EncTicketPart");
    agree::<theirs::Authenticator>(&samples.authenticator, "Authenticator");
    agree::<theirs::EncApRepPart>(&samples.enc_ap_rep_part, "EncAPRepPart");
    agree::<theirs::KrbCred>(&samples.krb_cred, "KRB-CRED");
    agree::<theirs::EncKrbCredPart>(&samples.enc_krb_cred_part, "EncKrbCredPart");
    agree::<theirs::MethodData>(&samples.padata, "METHOD-DATA");
    agree::<theirs::EtypeInfo2>(&samples.etype_info, "ETYPE-INFO2");
    agree::<theirs::PaEncTsEnc>(&samples.timestamp, "PA-ENC-TS-ENC");
}

#[test]
fn both_codecs_see_the_same_in_a_message_of_mit() {
    let v = Vector::load("krb_raw_krb5_mutual_cbt");
    let plain = v.bytes("Authenticator");
    let ours = stickler_auth::kerberos::message::Authenticator::decode(&plain).unwrap();
    let other: theirs::Authenticator = der::decode(&plain).unwrap();
    assert_eq!(ours.crealm.as_bytes(), other.crealm.as_bytes());
    assert_eq!(ours.ctime.0, u64::try_from(other.ctime.0.timestamp()).unwrap());
    assert_eq!(ours.cusec, u32::try_from(&other.cusec).unwrap());
    assert_eq!(ours.seq_number, other.seq_number);
    let checksum = other.cksum.unwrap();
    assert_eq!(ours.checksum.map(|each| (each.kind, each.value)), Some((checksum.r#type, &*checksum.checksum)));
}
