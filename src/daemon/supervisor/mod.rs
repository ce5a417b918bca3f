//! What a service manager passes to the server and hears of it (systemd's `sd_notify` and
//! `sd_listen_fds`, without its library): `notify` tells how the server is and feeds the watchdog,
//! `pulse` is how it knows that the server goes on, `activation` takes over sockets.

pub(super) mod activation;
pub(super) mod notify;
pub(super) mod pulse;
