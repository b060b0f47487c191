//! Whether a session went as its file says.

use anyhow::{Context, Result};
use domus_harness::domus::Report;
use domus_harness::verdict::Verdict;
use regex::Regex;

use super::session::{Limit, Session, Sum};

/// The verdict on what the machine printed, and how it ended.
///
/// # Errors
/// When an expression in the file is none.
pub fn judge(session: &Session, report: &Report) -> Result<Verdict> {
    if let Some(complaint) = report.complaint() {
        return Ok(Verdict::Failure(complaint.into()));
    }
    if report.status != session.status {
        return Ok(Verdict::Failure(format!("status {} instead of {}", report.status, session.status)));
    }
    let mut rest = report.console.as_str();
    for pattern in &session.expect {
        match regex(pattern)?.find(rest) {
            Some(found) => rest = &rest[found.end()..],
            None => {
                return Ok(Verdict::Failure(format!("expected {pattern:?}, after what was expected before")));
            }
        }
    }
    for pattern in &session.never {
        if let Some(found) = regex(pattern)?.find(&report.console) {
            return Ok(Verdict::Failure(format!("{:?} should not be there", found.as_str())));
        }
    }
    for pattern in &session.same {
        let found: Vec<&str> = regex(pattern)?.captures_iter(&report.console).filter_map(|c| Some(c.get(1)?.as_str())).collect();
        if found.len() < 2 || found.iter().any(|&value| value != found[0]) {
            return Ok(Verdict::Failure(format!("{pattern:?} should be the same everywhere: {found:?}")));
        }
    }
    for limit in &session.limits {
        if let Some(complaint) = limit.complaint(&report.console)? {
            return Ok(Verdict::Failure(complaint));
        }
    }
    for sum in &session.sums {
        if let Some(complaint) = sum.complaint(report)? {
            return Ok(Verdict::Failure(complaint));
        }
    }
    for pattern in &session.log {
        if !regex(pattern)?.is_match(&report.log) {
            return Ok(Verdict::Failure(format!("the log does not have {pattern:?}")));
        }
    }
    Ok(Verdict::Success)
}

impl Limit {
    /// What is wrong, if something is.
    fn complaint(&self, console: &str) -> Result<Option<String>> {
        let number = regex(&self.number)?;
        let numbers: Vec<u64> = number.captures_iter(console).filter_map(|c| c.get(1)?.as_str().parse().ok()).collect();
        let difference = |between: [usize; 2]| {
            let [first, second] = between.map(|at| numbers.get(at));
            Some(first?.abs_diff(*second?))
        };
        let most = [self.at_most, self.at_most_as_between.and_then(difference)].into_iter().flatten().min();
        let common = self.less_between.map_or(Some(0), difference);
        let found = difference(self.between).zip(common).map(|(found, common)| found.saturating_sub(common));
        let (Some(found), Some(most)) = (found, most) else {
            return Ok(Some(format!("{}: {:?} has {} matches, or there is no limit", self.what, self.number, numbers.len())));
        };
        Ok((found > most).then(|| format!("{}: {found}, and {most} at most", self.what)))
    }
}

impl Sum {
    /// What is wrong, if something is.
    fn complaint(&self, report: &Report) -> Result<Option<String>> {
        let terms = [(&self.plus, &report.console, 1), (&self.plus_log, &report.log, 1), (&self.minus, &report.console, -1)];
        let mut sum = 0i128;
        for (pattern, text, sign) in terms.iter().flat_map(|&(patterns, text, sign)| patterns.iter().map(move |p| (p, text, sign))) {
            match first_number(pattern, text)? {
                Some(number) => sum += i128::from(number) * sign,
                None => return Ok(Some(format!("{}: {pattern:?} finds no number", self.what))),
            }
        }
        Ok((sum > self.at_most.into()).then(|| format!("{}: {sum}, and {} at most", self.what, self.at_most)))
    }
}

fn first_number(pattern: &str, text: &str) -> Result<Option<u64>> {
    Ok(regex(pattern)?.captures(text).and_then(|found| found.get(1)?.as_str().parse().ok()))
}

/// `^` and `$` are those of a line.
fn regex(pattern: &str) -> Result<Regex> {
    regex::RegexBuilder::new(pattern).multi_line(true).build().with_context(|| format!("{pattern:?} is no regular expression"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domus_harness::log::Outcome;
    use domus_harness::supervise::Ended;

    fn report(status: u8, console: &str) -> Report {
        let outcome = Outcome::Exit(status);
        Report { status, ended: Ended::ByItself, outcome, console: console.into(), log: "[0.1] d1 crashed\n".into() }
    }

    fn judge(session: &str, report: &Report) -> Verdict {
        super::judge(&toml::from_str(session).unwrap(), report).unwrap()
    }

    #[test]
    fn the_order_matters() {
        let both = report(0, "one\ntwo\n");
        assert_eq!(judge("exec = ['x']\nexpect = ['^one$', '^two$']", &both), Verdict::Success);
        assert!(matches!(judge("exec = ['x']\nexpect = ['two', 'one']", &both), Verdict::Failure(_)));
    }

    #[test]
    fn status_absence_and_log_count() {
        assert!(matches!(judge("exec = ['x']", &report(1, "")), Verdict::Failure(_)));
        assert_eq!(judge("exec = ['x']\nstatus = 1\nlog = ['crashed']", &report(1, "")), Verdict::Success);
        assert!(matches!(judge("exec = ['x']\nnever = ['oops']", &report(0, "oops")), Verdict::Failure(_)));
        assert!(matches!(judge("exec = ['x']\nlog = ['fine']", &report(0, "")), Verdict::Failure(_)));
    }

    #[test]
    fn limits_hold() {
        let session = |most| format!("exec = ['x']\n[[limits]]\nwhat = 'time'\nnumber = 't=(.*)'\nbetween = [0, 1]\nat-most = {most}");
        assert_eq!(judge(&session(5), &report(0, "t=10\nt=15\n")), Verdict::Success);
        assert!(matches!(judge(&session(4), &report(0, "t=10\nt=15\n")), Verdict::Failure(_)));
        assert!(matches!(judge(&session(9), &report(0, "t=10\n")), Verdict::Failure(_)));
    }

    #[test]
    fn a_difference_can_be_the_limit_of_another() {
        let session = |other: &str| format!("exec = ['x']\n[[limits]]\nwhat = 'time'\nnumber = 't=(.*)'\nbetween = [2, 3]\n{other}");
        let report = report(0, "t=10\nt=15\nt=20\nt=25\nt=31\n");
        assert_eq!(judge(&session("at-most-as-between = [0, 1]"), &report), Verdict::Success);
        assert_eq!(judge(&session("at-most-as-between = [3, 4]"), &report), Verdict::Success);
        let longer = session("at-most-as-between = [0, 1]").replace("[2, 3]", "[3, 4]");
        assert!(matches!(judge(&longer, &report), Verdict::Failure(_)), "6 are more than 5");
        assert!(matches!(judge(&session("at-most-as-between = [0, 9]"), &report), Verdict::Failure(_)), "there is no tenth");
        assert!(matches!(judge(&session(""), &report), Verdict::Failure(_)), "a limit must limit");
    }

    #[test]
    fn what_two_runs_have_in_common_can_be_taken_off() {
        let session = |most| {
            let limit = "what = 'time'\nnumber = 't=(.*)'\nbetween = [1, 2]\nless-between = [0, 1]";
            format!("exec = ['x']\n[[limits]]\n{limit}\nat-most = {most}")
        };
        assert_eq!(judge(&session(7), &report(0, "t=10\nt=15\nt=27\n")), Verdict::Success);
        assert!(matches!(judge(&session(6), &report(0, "t=10\nt=15\nt=27\n")), Verdict::Failure(_)));
    }

    #[test]
    fn sums_have_limits() {
        let session = |most| {
            format!(
                "exec = ['x']\n[[sums]]\nwhat = 'all'\nplus = ['up=(.*)']\nplus-log = ['d(1)']\nminus = ['idle=(.*)']\nat-most = {most}"
            )
        };
        let well = report(0, "up=15\nidle=5\nup=900\nidle=0\n");
        assert_eq!(judge(&session(11), &well), Verdict::Success, "15 + 1 - 5: the first of each");
        assert!(matches!(judge(&session(10), &well), Verdict::Failure(_)));
        assert!(matches!(judge(&session(99), &report(0, "up=15\n")), Verdict::Failure(_)), "a part is missing");
    }

    #[test]
    fn what_must_stay_the_same_is_compared() {
        let session = "exec = ['x']\nsame = ['free: (.*)']";
        assert_eq!(judge(session, &report(0, "free: 5\nfree: 5\n")), Verdict::Success);
        assert!(matches!(judge(session, &report(0, "free: 5\nfree: 4\n")), Verdict::Failure(_)));
        assert!(matches!(judge(session, &report(0, "free: 5\n")), Verdict::Failure(_)));
    }
}
