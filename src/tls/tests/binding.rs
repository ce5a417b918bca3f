//! Which data connections are taken as the control connection's own.

use super::*;

#[tokio::test]
async fn data_connections_resume_two_hundred_times_with_renewed_tickets() {
    let world = world();
    for version in BOTH {
        let client = world.client(version);
        let control = world.control(&client).await;
        for round in 0..200 {
            let (bound, read) = data(&control, &client, &flow_to_client(), DataBinding::Session).await;
            assert_eq!(bound, Ok(SESSION), "{version:?}, round {round}");
            assert_eq!(read.unwrap(), b"payload");
        }
    }
}

#[tokio::test]
async fn one_session_resumes_again_and_again_under_tls12() {
    let world = world();
    for kind in [Tls12Resumption::SessionIdOrTickets, Tls12Resumption::SessionIdOnly] {
        let memory = Memory { first_only: true, ..Memory::default() };
        let client = world.client_with(&version::TLS12, kind, memory);
        let control = world.control(&client).await;
        for round in 0..200 {
            let (bound, _) = data(&control, &client, &Flow::new(), DataBinding::Session).await;
            assert_eq!(bound, Ok(SESSION), "{kind:?}, round {round}");
        }
    }
}

#[tokio::test]
async fn every_connection_renews_its_ticket_whether_or_not_its_direction_is_known() {
    let world = world();
    let client = world.client(&version::TLS13);
    let control = world.control(&client).await;
    for flow in [Flow::new(), flow_to_client(), Flow::new()] {
        let before = client.given();
        let (bound, read) = data(&control, &client, &flow, DataBinding::Session).await;
        assert_eq!(bound, Ok(SESSION));
        assert_eq!(read.unwrap(), b"payload");
        assert_eq!(client.given() - before, 1, "{flow:?}");
    }
}

#[tokio::test]
async fn a_stranger_is_refused_and_leaves_with_nothing() {
    let world = world();
    for version in BOTH {
        for kind in [Tls12Resumption::SessionIdOrTickets, Tls12Resumption::SessionIdOnly] {
            let client = world.client(version);
            let control = world.control(&client).await;
            let stranger = world.client_with(version, kind, Memory::default());
            for _ in 0..3 {
                let (bound, read) = data(&control, &stranger, &flow_to_client(), DataBinding::Session).await;
                assert!(bound.is_err_and(|fault| fault.unbound()), "{version:?}");
                assert_eq!(read.unwrap(), b"", "closed gently: an end, no alert and no reset");
            }
            assert_eq!(stranger.given(), 0);
            // Whatever TLS 1.2 session the stranger remembers, it resumes nothing here.
            let (bound, _) = data(&control, &client, &flow_to_client(), DataBinding::Session).await;
            assert_eq!(bound, Ok(SESSION), "the rightful client is still served");
        }
    }
}

#[tokio::test]
async fn sessions_of_others_and_of_the_past_are_refused() {
    let world = world();
    for version in BOTH {
        let (one, two) = (world.client(version), world.client(version));
        let (first, second) = (world.control(&one).await, world.control(&two).await);
        let (bound, _) = data(&second, &one, &flow_to_client(), DataBinding::Session).await;
        assert_eq!(bound, Err(DataFault::ForeignSession), "{version:?}");
        drop(second);
        let (bound, _) = data(&first, &two, &flow_to_client(), DataBinding::Principal).await;
        assert_eq!(bound, Err(DataFault::ForeignSession), "{version:?}");
        assert_eq!(world.server.registry.len(), 1);
    }
}

#[tokio::test]
async fn unresumed_renamed_and_other_version_have_each_their_fault() {
    let world = world();
    for (version, other) in [(&version::TLS12, &version::TLS13), (&version::TLS13, &version::TLS12)] {
        let client = world.client(version);
        let control = world.control(&client).await;
        let forgetful = world.client_with(version, Tls12Resumption::Disabled, Memory::default());
        let (bound, _) = data(&control, &forgetful, &flow_to_client(), DataBinding::Session).await;
        assert_eq!(bound, Err(DataFault::NotResumed { tls13: *version == version::TLS13 }));
        let (bound, _) = data(&control, &world.client(other), &flow_to_client(), DataBinding::Session).await;
        assert_eq!(bound, Err(DataFault::Version));
        let (bound, _) = data_named(&control, &client, &flow_to_client(), DataBinding::Session, "other.test").await;
        assert_eq!(bound, Err(DataFault::SessionChanged));
    }
}

fn principal(name: &str, address: &str) -> crate::policy::Principal {
    crate::policy::Principal::for_test(name, address)
}

#[tokio::test]
async fn sessions_of_one_principal_stand_in_for_each_other() {
    let world = world();
    for version in BOTH {
        let (one, two) = (world.client(version), world.client(version));
        let (first, second) = (world.control(&one).await, world.control(&two).await);
        first.session.set_principal(&principal("alice", "127.0.0.1"));
        for (name, address) in [("bob", "127.0.0.1"), ("alice", "127.0.0.2")] {
            second.session.set_principal(&principal(name, address));
            let (bound, _) = data(&second, &one, &flow_to_client(), DataBinding::Principal).await;
            assert_eq!(bound, Err(DataFault::ForeignSession));
        }
        second.session.set_principal(&principal("alice", "127.0.0.1"));
        let (bound, _) = data(&second, &one, &flow_to_client(), DataBinding::Principal).await;
        assert_eq!(bound, Ok(Bound { binding: DataBinding::Principal, resumed: true }));
        let (bound, _) = data(&second, &two, &flow_to_client(), DataBinding::Principal).await;
        assert_eq!(bound, Ok(SESSION));
    }
}

#[tokio::test]
async fn at_level_address_a_full_handshake_will_do() {
    let world = world();
    for version in BOTH {
        let client = world.client(version);
        let control = world.control(&client).await;
        let (bound, _) = data(&control, &client, &flow_to_client(), DataBinding::Address).await;
        assert_eq!(bound, Ok(SESSION), "more than is asked for is recorded as such");
        let fresh = world.client(version);
        let (bound, read) = data(&control, &fresh, &flow_to_client(), DataBinding::Address).await;
        assert_eq!(bound, Ok(Bound { binding: DataBinding::Address, resumed: false }));
        assert_eq!(read.unwrap(), b"payload");
        let (bound, _) = data(&control, &fresh, &flow_to_client(), DataBinding::Session).await;
        assert!(bound.is_err(), "and proves nothing later");
    }
}

#[tokio::test]
async fn an_upload_by_a_client_that_never_reads_arrives_whole() {
    let world = world();
    let content = vec![7_u8; 3_000_000];
    for version in BOTH {
        let client = world.client(version);
        let control = world.control(&client).await;
        let (near, far) = pair().await;
        let receive = async {
            let flow = Flow::new();
            let mut data = control.session.accept_data(near, &flow, DataBinding::Session, LIMIT).await.unwrap();
            let mut all = Vec::new();
            data.stream.read_to_end(&mut all).await.unwrap();
            finish_receiving(&mut data.stream, LIMIT).await.unwrap();
            all
        };
        let send = async {
            let mut stream = client.connect(far, "localhost").await.unwrap();
            stream.write_all(&content).await.unwrap();
            stream.shutdown().await.unwrap();
        };
        let (all, ()) = tokio::join!(receive, send);
        assert_eq!(all.len(), content.len());
    }
}

#[tokio::test]
async fn a_client_that_stays_is_waited_for_no_longer_than_allowed() {
    let world = world();
    let client = world.client(&version::TLS13);
    let control = world.control(&client).await;
    let (near, far) = pair().await;
    let flow = flow_to_client();
    let (data, stream) = tokio::join!(
        control.session.accept_data(near, &flow, DataBinding::Session, LIMIT),
        client.connect(far, "localhost")
    );
    let (mut data, _stream) = (data.unwrap(), stream.unwrap());
    let parting = finish_sending(&mut data.stream, Duration::from_millis(50)).await;
    assert_eq!(parting.unwrap(), Parting::Lingering);
}

#[tokio::test]
async fn a_sibling_may_log_in_a_moment_after_its_session_is_resumed() {
    let world = world();
    let refused = Err(DataFault::ForeignSession);
    for version in BOTH {
        for (name, expected) in
            [("alice", Ok(Bound { binding: DataBinding::Principal, resumed: true })), ("bob", refused.clone())]
        {
            let (one, two) = (world.client(version), world.client(version));
            let (first, second) = (world.control(&one).await, world.control(&two).await);
            second.session.set_principal(&principal("alice", "127.0.0.1"));
            let given = one.given();
            let login = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                first.session.set_principal(&principal(name, "127.0.0.1"));
            };
            let flow = flow_to_client();
            let ((bound, _), ()) = tokio::join!(data(&second, &one, &flow, DataBinding::Principal), login);
            assert_eq!(bound, expected, "{version:?}, {name}");
            assert_eq!(one.given(), given, "no ticket of a session that may be another's");
        }
    }
}

#[tokio::test]
async fn a_sibling_that_never_logs_in_holds_a_connection_up_no_longer_than_a_handshake_may_take() {
    let world = world();
    let (one, two) = (world.client(&version::TLS13), world.client(&version::TLS13));
    let (_first, second) = (world.control(&one).await, world.control(&two).await);
    second.session.set_principal(&principal("alice", "127.0.0.1"));
    let ((near, far), limit) = (pair().await, Duration::from_secs(1));
    let flow = Flow::new();
    let came = second.session.accept_data(near, &flow, DataBinding::Principal, limit);
    let (came, _stream) = tokio::join!(tokio::time::timeout(LIMIT, came), one.connect(far, "localhost"));
    assert_eq!(came.expect("within its limit").unwrap_err(), DataFault::ForeignSession);
}

#[tokio::test]
async fn a_sibling_that_ends_without_a_login_is_nobody() {
    let world = world();
    let (one, two) = (world.client(&version::TLS13), world.client(&version::TLS13));
    let (first, second) = (world.control(&one).await, world.control(&two).await);
    second.session.set_principal(&principal("alice", "127.0.0.1"));
    let end = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(first);
    };
    let flow = flow_to_client();
    let ((bound, _), ()) = tokio::join!(data(&second, &one, &flow, DataBinding::Principal), end);
    assert_eq!(bound, Err(DataFault::ForeignSession));
}
