//! The planted bugs of both guests, and who planted each: `src/demo/README.md`, `scripts/linux-guest/README.md`.

/// A planted bug.
pub(crate) struct Bug {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Of Linux, what is typed; minik's bugs have their own scripts.
    pub(crate) linux: Option<&'static str>,
    /// Options of the run.
    pub(crate) options: &'static [&'static str],
    /// A seed on which it shows.
    pub(crate) seed: u64,
    /// The functions that have the mistake: the culprits' lines name one of them.
    pub(crate) planted_in: &'static [&'static str],
    /// Whether it depends on timing: it shows on some seeds and not on others.
    pub(crate) race: bool,
    /// What the run prints if the bug has shown.
    pub(crate) shows: &'static str,
}

const fn minik(name: &'static str, planted_in: &'static [&'static str]) -> Bug {
    Bug { name, linux: None, options: &[], seed: 1, planted_in, race: false, shows: "trap: " }
}

const fn linux(name: &'static str, script: &'static str, planted_in: &'static [&'static str]) -> Bug {
    Bug { name, linux: Some(script), options: &[], seed: 0, planted_in, race: false, shows: "trap: " }
}

/// minik's.
pub(crate) const MINIK: &[Bug] = &[
    minik("stray-write", &["evdev_repeat_work"]),
    Bug { shows: "was not printed", ..minik("timer-stall", &["rtc_set_next_alarm"]) },
    Bug { race: true, ..minik("wq-corrupt", &["hub_disconnect"]) },
    minik("fdtable", &["binder_open"]),
    Bug { race: true, ..minik("rcu", &["dst_release"]) },
    minik("stack-overflow", &["acpi_ns_walk"]),
    minik("user-write", &["draw_frame"]),
    Bug { race: true, shows: "blocked for more than", ..minik("lost-wakeup", &["ring_wait"]) },
    // A machine that spins does so in three seconds as well as in ten; a detector takes one and a half.
    Bug {
        race: true,
        shows: "the machine only spins: ",
        options: &["--stall", "3s"],
        ..minik("deadlock", &["eth_get_stats"])
    },
    Bug { shows: "deadlock: every task waits", ..minik("deadlock-sleep", &["tty_check_hangup"]) },
];

const THEN_PS: &str = "expect \"\\n# \"\nwait 6s\nsend \"ps\\n\"\nexpect \"\\n# \"\nwait 1s\n";
const WAIT: &str = "expect \"\\n# \"\nwait 260s\n";

/// Linux's.
pub(crate) const LINUX: &[Bug] = &[
    linux("stray-write", THEN_PS, &["evdev_store_event"]),
    linux("wq-corrupt", THEN_PS, &["hub_store_status"]),
    Bug {
        shows: "was not printed",
        ..linux(
            "timer-stall",
            "expect \"\\n# \"\nwait 6s\nsend \"uptime\\n\"\nexpect \"up \"\n",
            &["rtc_set_next_alarm"],
        )
    },
    linux("fdtable", THEN_PS, &["binder_copy_transaction"]),
    linux("rcu", THEN_PS, &["dst_scrub"]),
    Bug { shows: "kernel stack overflow", ..linux("stack-overflow", "expect \"\\n# \"\nwait 20s\n", &["acpi_walk"]) },
    linux("user-write", "expect \"\\n# \"\nsend \"wild fb\\n\"\nexpect \"\\n# \"\nwait 5s\n", &["draw_too_much"]),
    Bug { race: true, shows: "blocked for more than", ..linux("lost-wakeup", WAIT, &["ring_consumer"]) },
    Bug {
        race: true,
        shows: "blocked for more than",
        ..linux("deadlock", WAIT, &["netdev_up", "netdev_set_address", "on_link_change"])
    },
];

impl Bug {
    /// What the file with what is said of it is called.
    pub(crate) fn file(&self) -> String {
        match self.linux {
            None => format!("minik-{}.txt", self.name),
            Some(_) => format!("linux-{}.txt", self.name),
        }
    }

    /// Whether an explanation names who planted it.
    pub(crate) fn is_named(&self, explained: &str) -> bool {
        let mut culprits = explained.lines().filter(|line| line.starts_with("culprit: "));
        culprits.any(|line| {
            let words: Vec<&str> = line.split([' ', ',', '(']).collect();
            self.planted_in.iter().any(|function| words.contains(function))
        })
    }
}
