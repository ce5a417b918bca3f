use std::path::Path;

use jiff::Timestamp;

use crate::config::load::{Judged, Reach, Texts, judge_at};

const SERVER: &str = "[listen]\nexplicit = [\"127.0.0.1:2121\"]\n[passive]\nports = \"50000-50099\"\n\
                      [audit]\ndirectory = \"../audit\"\n\
                      [tls]\nidentities = [{ names = [\"localhost\"], certificate = \"c\", key = \"k\" }]\n\
                      [networks]\nallow = [\"10.0.0.0/8\", \"192.0.2.0/24\"]\n";
const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHRzYWx0$5pv1TTFHP6Pdi4e2pN8nhQ2lJSk4a7bpYBFmCzL3Wr0";

/// What is said of files on 22 November 2026.
fn judged(server: &str, users: &str) -> Judged {
    let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
    let users = users.replace("HASH", &format!("password = \"{HASH}\"\npassword-set = 2026-11-01"));
    let texts = Texts { server: server.to_owned(), users, metadata: None };
    judge_at(Path::new("/policy"), &texts, &[], Reach::Text, now)
}

/// The warnings, as `LINE:COLUMN message`.
#[track_caller]
fn of_texts(server: &str, users: &str) -> Vec<String> {
    let judged = judged(server, users);
    assert!(judged.config.is_some(), "{:?}", judged.problems);
    let position = |at: &crate::config::problem::Position| format!("{}:{}", at.line, at.column);
    let line = |problem: &crate::config::Problem| {
        assert!(problem.help.is_some(), "{problem}");
        format!("{} {}", problem.position.as_ref().map(position).unwrap_or_default(), problem.message)
    };
    judged.problems.iter().map(line).collect()
}

/// What is said of alice with these lines, the first of which is line 5.
#[track_caller]
fn of_alice(lines: &str) -> Vec<String> {
    of_texts(SERVER, &format!("[user.alice]\nhome = \"/srv/alice\"\nHASH\n{lines}"))
}

const NOTHING: [&str; 0] = [];

#[test]
fn a_rule_that_another_overrules_is_told() {
    let lines = "permissions = [\"list\", \"read\"]\n  [[user.alice.rule]] # closed\n  path = \"/in/**\"\n  allow = [\"create\"]\n\
                 [[user.alice.rule]]\npath = \"/in/**\"\ndeny = [\"create\"]\n";
    assert_eq!(
        of_alice(lines),
        [
            "6:3 this rule never decides about `create`: rule /in/** of user alice (/policy/users.toml:9) decides on all \
          of its paths"
        ]
    );
}

#[test]
fn a_rule_in_a_mount_that_the_mount_overrules_is_told() {
    let lines = "permissions = \"full\"\n[[user.alice.rule]]\npath = \"/shared/**\"\nallow = [\"create\"]\n\
                 [[user.alice.mount]]\npath = \"/shared\"\nfolder = \"shared\"\npermissions = \"read-only\"\n\
                 [folder.shared]\ndirectory = \"/srv/shared\"\n";
    assert_eq!(
        of_alice(lines),
        ["6:1 this rule never decides about `create`: mount /shared of user alice (/policy/users.toml:9) denies \
          whatever it does not permit"]
    );
    assert_eq!(of_alice(&lines.replace("/shared/**", "/shared/in/**")), NOTHING);
}

#[test]
fn a_rule_that_changes_nothing_is_told_once_for_all_who_have_it() {
    let group = "[group.g]\npermissions = \"read-only\"\n[[group.g.rule]]\npath = \"/in/**\"\nallow = [\"read\"]\n";
    let user = |name: &str, more: &str| format!("[user.{name}]\nhome = \"/srv/x\"\nHASH\ngroups = [\"g\"]\n{more}");
    let idle = "3:1 this rule changes nothing: on /in/**, permissions (/policy/users.toml:2) says the same";
    assert_eq!(of_texts(SERVER, &format!("{group}{}{}", user("a", ""), user("b", ""))), [idle]);
    let counts = format!("{group}{}{}", user("a", ""), user("b", "permissions = [\"list\"]\n"));
    assert_eq!(of_texts(SERVER, &counts), NOTHING, "it counts for b");
}

#[test]
fn a_great_many_users_and_rules_are_judged_in_a_bounded_time() {
    use std::fmt::Write as _;
    let mut users = "[group.g]\npermissions = \"read-only\"\n".to_owned();
    for rule in 0..150 {
        write!(users, "[[group.g.rule]]\npath = \"/a{rule}/**\"\nallow = [\"create\", \"rename\"]\n").unwrap();
    }
    for user in 0..600 {
        let own = if user % 2 == 0 { "" } else { "rule = [{ path = \"/own/**\", deny = [\"list\"] }]\n" };
        write!(users, "[user.u{user}]\nhome = \"/srv/x\"\nHASH\ngroups = [\"g\"]\n{own}").unwrap();
    }
    users += "[[user.u0.rule]]\npath = \"/out/**\"\nallow = [\"read\"]\n";
    let begun = std::time::Instant::now();
    let said = of_texts(SERVER, &users);
    assert!(said.iter().any(|line| line.contains("this rule changes nothing: on /out/**")), "{said:?}");
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn what_is_asked_of_uploads_where_none_are_allowed_is_told() {
    let rule = "[[user.alice.rule]]\npath = \"/in/**\"\nfile-bytes-max = 10\n";
    let expected = "6:1 this rule asks something of uploads, and none are allowed on /in/**";
    assert_eq!(of_alice(&format!("permissions = \"read-only\"\n{rule}")), [expected]);
    assert_eq!(of_alice(&format!("permissions = \"full\"\n{rule}")), NOTHING);
}

#[test]
fn a_user_who_may_do_nothing_is_told_unless_that_is_meant() {
    assert_eq!(of_alice("permissions = []\n"), ["1:1 alice is permitted nothing, on any path"]);
    let denied = "permissions = \"read-only\"\n[[user.alice.rule]]\npath = \"/**\"\ndeny = \"full\"\n";
    assert_eq!(of_alice(denied), ["1:1 alice is permitted nothing, on any path"]);
    assert_eq!(of_alice("permissions = []\nenabled = false\n"), NOTHING);
}

#[test]
fn an_account_that_has_ended_is_told() {
    let ended = "permissions = \"full\"\nexpires = 2026-11-21\n";
    assert_eq!(of_alice(ended), ["1:1 the account of alice ended on 2026-11-21: nobody logs in with it"]);
    assert_eq!(of_alice(&ended.replace("-21", "-22")), NOTHING, "it is its last day");
    assert_eq!(of_alice(&format!("{ended}enabled = false\n")), NOTHING);
}

#[test]
fn a_user_whom_no_address_lets_in_is_told() {
    let from = |lines: &str| of_alice(&format!("permissions = \"full\"\n{lines}\n"));
    let nowhere = "1:1 alice can log in from nowhere: no address passes all of its lists";
    assert_eq!(from("deny-from = [\"10.0.0.0/8\", \"192.0.2.0/25\", \"192.0.2.128/25\"]"), [nowhere]);
    assert_eq!(from("deny-from = [\"10.0.0.0/8\", \"192.0.2.0/25\"]"), NOTHING);
    let said = from("allow-from = [\"10.1.0.0/16\"]\ndeny-from = [\"10.0.0.0/8\"]");
    assert_eq!(said, [nowhere, "6:1 10.1.0.0/16 is both allowed and denied for user alice, so it is denied"]);
}

#[test]
fn a_network_of_the_server_that_is_allowed_and_denied_is_told() {
    let server = format!("{SERVER}deny = [\"192.0.0.0/16\"]\n");
    let users = "[user.a]\nhome = \"/srv/a\"\nHASH\npermissions = \"full\"\n";
    let expected = "10:1 192.0.2.0/24 is both allowed and denied for [networks], so it is denied";
    assert_eq!(of_texts(&server, users), [expected]);
}

#[test]
fn a_user_from_more_networks_than_its_group_is_told() {
    let group = "groups = [\"g\"]\n[group.g]\npermissions = \"full\"\nallow-from = [\"10.1.0.0/16\"]\n";
    let expected = "5:1 10.0.0.0/8 lets alice in from more than its groups do, which allow 10.1.0.0/16";
    assert_eq!(of_alice(&format!("allow-from = [\"10.0.0.0/8\"]\n{group}")), [expected]);
    assert_eq!(of_alice(&format!("allow-from = [\"10.1.2.0/24\"]\n{group}")), NOTHING);
    assert_eq!(of_alice(group), NOTHING);
}

#[test]
fn hours_apart_from_those_of_the_group_are_told() {
    let group = "groups = [\"g\"]\n[group.g]\npermissions = \"full\"\nhours = [\"mon-fri 08:00-18:00\"]\n";
    let own = |hours: &str| of_alice(&format!("hours = [\"{hours}\"]\n{group}"));
    assert_eq!(own("sat,sun 08:00-18:00"), ["5:1 the hours of alice have no minute in common with those of its group"]);
    assert_eq!(own("fri 17:00-20:00"), NOTHING);
}

#[test]
fn a_factor_that_is_missing_is_told() {
    let with = |lines: &str| of_alice(&format!("permissions = \"full\"\n{lines}\n"));
    for (factor, missing) in
        [("totp", "`totp-secret`"), ("certificate", "`certificates`"), ("any", "`totp-secret` and no `certificates`")]
    {
        let expected = format!("1:1 alice cannot log in: second-factor \"{factor}\" holds, and there is no {missing}");
        assert_eq!(with(&format!("second-factor = \"{factor}\"")), [expected]);
        let there = "totp-secret = \"JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\"\ncertificates = [\"email:a@example.org\"]";
        let asked_for = match factor {
            "certificate" => vec!["1:7 alice logs in with a client certificate, and the server asks for none"],
            _ => vec![],
        };
        assert_eq!(with(&format!("second-factor = \"{factor}\"\n{there}")), asked_for);
    }
    let alone = "1:1 a certificate alone shall suffice for alice, and there are no `certificates`";
    assert_eq!(with("certificate-alone = true"), [alone]);
}

#[test]
fn renaming_out_of_where_nothing_may_be_read_is_told() {
    let rules = "permissions = \"read-only\"\n[[user.alice.rule]]\npath = \"/in/**\"\nallow = [\"create\", \"rename\"]\n\
                 deny = [\"list\", \"read\"]\n[[user.alice.rule]]\npath = \"/out/**\"\nallow = [\"rename\"]\n";
    assert_eq!(
        of_alice(rules),
        ["6:1 alice may rename files that it may not read, such as /in/x, to where reading is allowed, such as /out/x"]
    );
    assert_eq!(of_alice(&rules.replace("[\"create\", \"rename\"]", "[\"create\"]")), NOTHING);
}

#[test]
fn a_drop_box_in_which_files_are_replaced_unseen_is_told() {
    let told = of_alice("permissions = [\"create\", \"overwrite\"]\n");
    let expected =
        "5:1 alice may replace files that it may not read, such as /x: what others left there can be lost unseen";
    assert_eq!(told, [expected]);
    assert_eq!(of_alice("permissions = [\"create\"]\n"), NOTHING);
}

#[test]
fn what_nobody_uses_is_told() {
    let server = format!("{SERVER}named.lab = [\"10.5.0.0/16\"]\nnamed.office = [\"10.6.0.0/16\"]\n");
    let users = "[user.a]\nhome = \"/srv/a\"\nHASH\npermissions = \"full\"\nallow-from = [\"office\"]\ngroups = [\"g\"]\n\
                 [group.g]\ngroups = [\"h\"]\n[group.h]\n[group.lonely]\n[folder.lost]\ndirectory = \"/srv/lost\"\n";
    assert_eq!(
        of_texts(&server, users),
        [
            "11:7 the network lab is named, and no line uses the name",
            "11:1 no user is in group lonely",
            "12:1 folder lost is in nobody's tree"
        ]
    );
}
