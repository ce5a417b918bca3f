//! The checks by their names, which are stable: scripts rely on them, and docs/doctor.md explains
//! each.

/// Makes the checks and the list of all of them.
macro_rules! checks {
    ($($check:ident = $id:literal,)+) => {
        /// Something that is looked at.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(in crate::cli) enum Check { $($check,)+ }

        impl Check {
            /// Every check, in the order of the report.
            pub(in crate::cli) const ALL: &[Self] = &[$(Self::$check,)+];

            /// Its name: its family, a dot, and what is looked at.
            pub(in crate::cli) const fn id(self) -> &'static str {
                match self { $(Self::$check => $id,)+ }
            }
        }
    };
}

checks! {
    PolicyText = "policy.text",
    PolicyOwners = "policy.owners",
    ProcessUser = "process.user",
    ProcessDescriptors = "process.descriptors",
    ProcessMemory = "process.memory",
    KernelFiles = "kernel.files",
    KernelSandbox = "kernel.sandbox",
    ClockYear = "clock.year",
    ClockSynchronised = "clock.synchronised",
    PortsListen = "ports.listen",
    PortsPrivilege = "ports.privilege",
    PortsPassive = "ports.passive",
    PortsEphemeral = "ports.ephemeral",
    AddressAdvertised = "address.advertised",
    AddressLocal = "address.local",
    AddressAnswer = "address.answer",
    AddressPath = "address.path",
    NetworksAny = "networks.any",
    NetworksActive = "networks.active",
    NetworksConntrack = "networks.conntrack",
    CertificateFile = "certificate.file",
    CertificateDates = "certificate.dates",
    CertificateNames = "certificate.names",
    CertificateChain = "certificate.chain",
    CertificateKey = "certificate.key",
    CertificateClients = "certificate.clients",
    CertificateOcsp = "certificate.ocsp",
    UsersLogin = "users.login",
    UsersDates = "users.dates",
    UsersExceptions = "users.exceptions",
    UsersAddresses = "users.addresses",
    HomesAccess = "homes.access",
    HomesMount = "homes.mount",
    HomesSpace = "homes.space",
    HomesInodes = "homes.inodes",
    AuditDirectory = "audit.directory",
    AuditKey = "audit.key",
    AuditMount = "audit.mount",
    AuditSpace = "audit.space",
    AuditRecords = "audit.records",
    AuditClock = "audit.clock",
    LogDirectory = "log.directory",
    LogSpace = "log.space",
}

impl Check {
    /// The family, under which it is reported.
    pub(super) fn family(self) -> &'static str {
        self.id().split('.').next().unwrap_or_default()
    }

    /// Whether it can be made where the policy files cannot be used.
    pub(super) fn needs_policy(self) -> bool {
        !matches!(
            self,
            Self::PolicyText
                | Self::KernelFiles
                | Self::KernelSandbox
                | Self::ClockYear
                | Self::ClockSynchronised
                | Self::NetworksConntrack
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_the_families_stand_together() {
        let names: BTreeSet<&str> = Check::ALL.iter().map(|check| check.id()).collect();
        assert_eq!(names.len(), Check::ALL.len());
        let mut families: Vec<&str> = Check::ALL.iter().map(|check| check.family()).collect();
        families.dedup();
        let different: BTreeSet<&str> = families.iter().copied().collect();
        assert_eq!(families.len(), different.len(), "{families:?}");
    }

    #[test]
    fn the_manual_explains_each_check_and_no_other() {
        let manual = include_str!("../../../docs/doctor.md");
        let row = |line: &'static str| line.strip_prefix("| `")?.split_once('`').map(|(id, _)| id);
        let explained: Vec<&str> = manual.lines().filter_map(row).collect();
        let known: Vec<&str> = Check::ALL.iter().map(|check| check.id()).collect();
        assert_eq!(explained, known);
    }
}
