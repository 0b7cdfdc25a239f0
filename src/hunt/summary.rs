//! What a hunt found: how often what went wrong, and how sure that is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;
use wkdb_tracer::GuestTime;

use super::results::{Results, SeedResult};
use super::symptom::Symptom;

/// The quantile of the normal distribution for intervals of 95 %.
const Z: f64 = 1.959_964;

/// How likely something is, as far as a sample tells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Probability {
    /// The share of the sample.
    pub share: f64,
    /// The lower end of the 95 % interval (Wilson's score interval).
    pub low: f64,
    /// Its upper end.
    pub high: f64,
}

impl Probability {
    /// Of what was seen `hits` times in `of`. Of nothing, nothing is known: 0 to 1.
    pub fn of(hits: u64, of: u64) -> Self {
        if of == 0 {
            return Probability { share: 0.0, low: 0.0, high: 1.0 };
        }
        let (n, share) = (of as f64, hits as f64 / of as f64);
        let z2 = Z * Z / n;
        let middle = (share + z2 / 2.0) / (1.0 + z2);
        let half = Z * (share * (1.0 - share) / n + z2 / n / 4.0).sqrt() / (1.0 + z2);
        // Rounding must not give less than nothing.
        let low = if hits == 0 { 0.0 } else { (middle - half).max(0.0) };
        let high = if hits == of { 1.0 } else { (middle + half).min(1.0) };
        Probability { share, low, high }
    }
}

impl std::fmt::Display for Probability {
    /// `25 % (95 % interval: 18 to 34 %)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |share: f64| match share * 100.0 {
            percent if percent > 0.0 && percent < 9.95 => format!("{percent:.1}"),
            percent if percent > 99.0 && percent < 100.0 => format!("{percent:.1}"),
            percent => format!("{percent:.0}"),
        };
        write!(f, "{} % (95 % interval: {} to {} %)", percent(self.share), percent(self.low), percent(self.high))
    }
}

/// The runs in which the same went wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// What went wrong.
    #[serde(flatten)]
    pub symptom: Symptom,
    /// In how many runs.
    pub count: u64,
    /// How likely it is.
    pub probability: Probability,
    /// Their seeds.
    pub seeds: Vec<u64>,
    /// The run with the fewest ticks; of several, the one with the lowest seed.
    pub shortest: SeedResult,
    /// Its recording, if there is one.
    pub recording: Option<PathBuf>,
}

/// What a hunt found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// What the guest is called.
    pub guest: String,
    /// The hash of the configuration.
    pub config: String,
    /// Seeds that were run.
    pub done: u64,
    /// In how many something went wrong.
    pub bad: u64,
    /// How likely that is.
    pub probability: Probability,
    /// Seeds that could not be run, and why.
    pub failed: BTreeMap<u64, String>,
    /// What went wrong, the most frequent first.
    pub groups: Vec<Group>,
}

impl Summary {
    /// Of these results. `recording` knows where the recording of a run is, if there is one.
    pub fn new(results: &Results, recording: impl Fn(&Symptom, u64) -> Option<PathBuf>) -> Self {
        let done = results.seeds.len() as u64;
        let group = |(symptom, runs): (&Symptom, Vec<&SeedResult>)| {
            let count = runs.len() as u64;
            let shortest = shortest(&runs)?.clone();
            Some(Group {
                symptom: symptom.clone(),
                count,
                probability: Probability::of(count, done),
                seeds: runs.iter().map(|run| run.seed).collect(),
                recording: recording(symptom, shortest.seed),
                shortest,
            })
        };
        let mut groups: Vec<_> = by_symptom(results).into_iter().filter_map(group).collect();
        // Equal ones stay in the order of their symptoms.
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        let bad = groups.iter().map(|group| group.count).sum();
        Summary {
            guest: results.configuration.guest.clone(),
            config: results.config.clone(),
            done,
            bad,
            probability: Probability::of(bad, done),
            failed: results.failed.clone(),
            groups,
        }
    }

    /// In words; `command` makes the command that replays a recording.
    pub fn text(&self, command: impl Fn(&std::path::Path) -> String) -> String {
        /// Most seeds that are listed of a group.
        const SEEDS: usize = 12;
        let Summary { guest, done, bad, probability, failed, groups, .. } = self;
        let mut text = match (bad, done) {
            (_, 0) => format!("{guest}: no seed was run\n"),
            (0, _) => format!("{guest}: nothing went wrong on {done} seeds: {probability}\n"),
            _ => format!("{guest}: {bad} of {done} seeds went wrong: {probability}\n"),
        };
        for Group { symptom, count, probability, seeds, shortest, recording } in groups {
            text.push_str(&format!("\n{count} × {symptom}\n  {probability}\n"));
            let listed: Vec<_> = seeds.iter().take(SEEDS).map(u64::to_string).collect();
            let more = if seeds.len() > SEEDS { " …" } else { "" };
            let SeedResult { seed, ticks, guest_ns, .. } = shortest;
            let time = GuestTime(*guest_ns);
            text.push_str(&format!("  seeds {}{more}\n", listed.join(" ")));
            text.push_str(&format!("  the shortest: seed {seed}, {ticks} ticks, {time} s of guest time\n"));
            match recording {
                Some(path) => text.push_str(&format!("  {}\n", command(path))),
                None => text.push_str("  not recorded: the same hunt again records it\n"),
            }
        }
        if let Some((seed, why)) = failed.first_key_value() {
            let n = failed.len();
            let seeds: Vec<_> = failed.keys().take(SEEDS).map(u64::to_string).collect();
            let more = if n > SEEDS { " …" } else { "" };
            let list = seeds.join(" ");
            text.push_str(&format!(
                "\n{n} seeds could not be run, and are run by the same hunt again: {list}{more}\n  seed {seed}: {why}\n"
            ));
        }
        text
    }
}

/// Runs in which something went wrong, by what did.
fn by_symptom(results: &Results) -> BTreeMap<&Symptom, Vec<&SeedResult>> {
    let mut groups: BTreeMap<&Symptom, Vec<&SeedResult>> = BTreeMap::new();
    for result in results.seeds.values() {
        if let Some(symptom) = &result.symptom {
            groups.entry(symptom).or_default().push(result);
        }
    }
    groups
}

/// The shortest run of each group.
pub fn shortest_of_each(results: &Results) -> Vec<&SeedResult> {
    by_symptom(results).values().filter_map(|runs| shortest(runs)).collect()
}

fn shortest<'a>(runs: &[&'a SeedResult]) -> Option<&'a SeedResult> {
    runs.iter().copied().min_by_key(|run| (run.ticks, run.seed))
}

#[cfg(test)]
mod tests {
    use wkdb_tracer::Tick;

    use super::super::results::Configuration;
    use super::super::symptom::Kind;
    use super::*;
    use crate::machine::MachineConfig;

    /// From the tables of Newcombe, "Two-sided confidence intervals for the single proportion" (1998), method 3.
    #[test]
    fn intervals_are_wilsons() {
        for (hits, of, low, high) in
            [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
        {
            let Probability { low: l, high: h, .. } = Probability::of(hits, of);
            assert!((l - low).abs() < 6e-5 && (h - high).abs() < 6e-5, "{hits} of {of}: {l} {h}");
        }
        let Probability { low, high, .. } = Probability::of(20, 20);
        assert!((low - 0.8389).abs() < 6e-5 && high == 1.0);
        assert_eq!(Probability::of(0, 0), Probability { share: 0.0, low: 0.0, high: 1.0 });
        assert_eq!(Probability::of(1, 29).to_string(), "3.4 % (95 % interval: 0.6 to 17 %)");
    }

    #[test]
    fn groups_have_all_their_seeds_and_the_shortest_run() {
        let configuration = Configuration::new("minik".into(), "k".into(), None, &MachineConfig::new("x"));
        let mut results = Results::new(configuration);
        let (race, rare) = (Symptom::new(Kind::Panic, "race", vec![]), Symptom::new(Kind::Spin, "rare", vec![]));
        for (seed, ticks, symptom) in
            [(0, 1, None), (1, 70, Some(&race)), (2, 9, Some(&rare)), (3, 50, Some(&race)), (4, 50, Some(&race))]
        {
            let result = SeedResult {
                seed,
                config: results.config.clone(),
                outcome: "x".into(),
                ticks: Tick(ticks),
                guest_ns: 0,
                memory: String::new(),
                schedule: String::new(),
                console: String::new(),
                symptom: symptom.cloned(),
            };
            results.add(result, std::path::Path::new("x")).unwrap();
        }
        let summary = Summary::new(&results, |symptom, seed| Some(format!("{}{seed}.wkr", symptom.text).into()));
        let groups: Vec<_> =
            summary.groups.iter().map(|g| (&g.symptom, g.count, &g.seeds[..], g.shortest.seed)).collect();
        assert_eq!(groups, [(&race, 3, &[1, 3, 4][..], 3), (&rare, 1, &[2][..], 2)]);
        assert_eq!((summary.done, summary.bad), (5, 4));
        let text = summary.text(|path| format!("wkdb replay {}", path.display()));
        assert!(text.contains("4 of 5 seeds went wrong: 80 %"), "{text}");
        assert!(text.contains("3 × panic: race\n") && text.contains("wkdb replay race3.wkr\n"), "{text}");
        assert_eq!(shortest_of_each(&results).iter().map(|run| run.seed).collect::<Vec<_>>(), [3, 2]);
    }
}
