//! Broadcast and multicast over the loopback interface.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tieline_std::tieline::PublishError;
use tieline_std::{Address, Broadcast, Error, Named, Route, route};
use tieline_tests::free_port;

const LONG: Duration = Duration::from_secs(20);

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Sample(u32);

impl Named for Sample {
    const TYPE: &'static str = "Sample";
}

const SAMPLES: Route<Sample> = Route::new("broadcast.samples");
const OTHERS: Route<Sample> = Route::new("broadcast.others");

fn group() -> Broadcast {
    let address = format!("udp://239.255.4.2:{}?multicast&interface=lo&hops=0", free_port());
    Broadcast::open(&address.parse().unwrap()).unwrap()
}

fn all_hear(group: &Broadcast) {
    let readers = [group.subscriber(&SAMPLES).unwrap(), group.subscriber(&SAMPLES).unwrap()];
    let (ours, others) = (group.publisher(&SAMPLES).unwrap(), group.publisher(&OTHERS).unwrap());
    for number in 0..100 {
        others.publish(&Sample(number)).unwrap();
        ours.publish(&Sample(number)).unwrap();
        for reader in &readers {
            let heard = reader.recv_timeout(LONG).unwrap();
            assert_eq!((heard.message, heard.sequence, heard.lost), (Sample(number), number, 0));
        }
    }
    for reader in &readers {
        let stats = reader.stats();
        assert_eq!((stats.received, stats.lost), (100, 0));
        // The last one of the others may not have been looked at.
        assert!(stats.other_route >= 99, "{stats:?}");
        assert_eq!(reader.senders().len(), 1);
    }
}

#[test]
fn all_members_of_a_group_hear() {
    all_hear(&group());
}

#[test]
fn all_of_a_network_hear() {
    let address = format!("udp://127.255.255.255:{}?broadcast", free_port());
    all_hear(&Broadcast::open(&address.parse().unwrap()).unwrap());
}

#[test]
fn senders_are_told_apart_and_their_restarts_noticed() {
    let group = group();
    let reader = group.subscriber(&SAMPLES).unwrap();
    let roof = group.clone().with_sender(1).publisher(&SAMPLES).unwrap();
    let cellar = group.clone().with_sender(2).publisher(&SAMPLES).unwrap();
    let mut sums: HashMap<u64, u32> = HashMap::new();
    for number in 0..10 {
        roof.publish(&Sample(number)).unwrap();
        cellar.publish(&Sample(number * 2)).unwrap();
        for _ in 0..2 {
            let heard = reader.recv_timeout(LONG).unwrap();
            assert!(!heard.restarted && heard.lost == 0);
            *sums.entry(heard.sender).or_default() += heard.message.0;
        }
    }
    assert_eq!(sums, HashMap::from([(1, 45), (2, 90)]));
    // The roof's program starts anew: with another nonce.
    let again = Broadcast::open(group.address()).unwrap().with_sender(1).publisher(&SAMPLES).unwrap();
    again.publish(&Sample(7)).unwrap();
    let heard = reader.recv_timeout(LONG).unwrap();
    assert!(heard.restarted && heard.sender == 1 && heard.sequence == 0 && heard.lost == 0);
}

#[test]
fn what_is_too_large_is_refused_with_the_limit() {
    let group = group();
    let publisher = group.raw_publisher(route("Bytes@broadcast.bytes").unwrap()).unwrap();
    let reader = group.raw_subscriber(route("Bytes@broadcast.bytes").unwrap()).unwrap();
    assert_eq!(publisher.message_max(), 1500 - 28 - 32);
    let error = publisher.publish(&[0; 1441]).unwrap_err();
    assert!(matches!(error, Error::Publish(PublishError::TooLarge { limit: 1440 })), "{error}");
    publisher.publish(&[7; 1440]).unwrap();
    assert_eq!(reader.recv_timeout(LONG).unwrap().message, [7; 1440]);
    assert!(reader.try_recv().unwrap().is_none());
}

#[test]
fn an_address_of_one_peer_is_refused() {
    for (text, words) in [
        ("udp://127.0.0.1:4", "?multicast"),
        ("tcp://127.0.0.1:4", "?multicast"),
        ("udp://239.255.4.2:4?multicast&interface=nosuch0", "no network interface `nosuch0`"),
    ] {
        let error = Broadcast::open(&text.parse::<Address>().unwrap()).unwrap_err();
        assert!(matches!(error, Error::Open { .. }) && error.to_string().contains(words), "{error}");
    }
}
