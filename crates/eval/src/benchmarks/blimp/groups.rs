//! BLiMP's tasks, and the groups in which the pipeline of 2023 pools them.

use crate::results::TaskResult;
use crate::rules::Rules;

/// The twelve groups of the 2023 pipeline and the BLiMP tasks in each: the paper's phenomena
/// (Warstadt et al., 2020, table 4). Beside each task the pairs that are left of its 1000 in the
/// filtered files of the 2024 pipeline.
const GROUPS: [(&str, &[(&str, usize)]); 12] = [
    ("anaphor_agreement", &[("anaphor_gender_agreement", 971), ("anaphor_number_agreement", 931)]),
    (
        "argument_structure",
        &[
            ("animate_subject_passive", 895),
            ("animate_subject_trans", 923),
            ("causative", 818),
            ("drop_argument", 920),
            ("inchoative", 855),
            ("intransitive", 868),
            ("passive_1", 840),
            ("passive_2", 903),
            ("transitive", 868),
        ],
    ),
    (
        "binding",
        &[
            ("principle_A_c_command", 946),
            ("principle_A_case_1", 912),
            ("principle_A_case_2", 915),
            ("principle_A_domain_1", 914),
            ("principle_A_domain_2", 915),
            ("principle_A_domain_3", 941),
            ("principle_A_reconstruction", 967),
        ],
    ),
    (
        "control_raising",
        &[
            ("existential_there_object_raising", 812),
            ("existential_there_subject_raising", 924),
            ("expletive_it_object_raising", 759),
            ("tough_vs_raising_1", 948),
            ("tough_vs_raising_2", 920),
        ],
    ),
    (
        "determiner_noun_agreement",
        &[
            ("determiner_noun_agreement_1", 929),
            ("determiner_noun_agreement_2", 931),
            ("determiner_noun_agreement_irregular_1", 681),
            ("determiner_noun_agreement_irregular_2", 820),
            ("determiner_noun_agreement_with_adj_2", 941),
            ("determiner_noun_agreement_with_adj_irregular_1", 718),
            ("determiner_noun_agreement_with_adj_irregular_2", 840),
            ("determiner_noun_agreement_with_adjective_1", 933),
        ],
    ),
    ("ellipsis", &[("ellipsis_n_bar_1", 802), ("ellipsis_n_bar_2", 828)]),
    (
        "filler_gap",
        &[
            ("wh_questions_object_gap", 859),
            ("wh_questions_subject_gap", 898),
            ("wh_questions_subject_gap_long_distance", 857),
            ("wh_vs_that_no_gap", 861),
            ("wh_vs_that_no_gap_long_distance", 875),
            ("wh_vs_that_with_gap", 919),
            ("wh_vs_that_with_gap_long_distance", 910),
        ],
    ),
    (
        "irregular_forms",
        &[("irregular_past_participle_adjectives", 961), ("irregular_past_participle_verbs", 942)],
    ),
    (
        "island_effects",
        &[
            ("adjunct_island", 928),
            ("complex_NP_island", 846),
            ("coordinate_structure_constraint_complex_left_branch", 906),
            ("coordinate_structure_constraint_object_extraction", 949),
            ("left_branch_island_echo_question", 947),
            ("left_branch_island_simple_question", 951),
            ("sentential_subject_island", 961),
            ("wh_island", 960),
        ],
    ),
    (
        "npi_licensing",
        &[
            ("matrix_question_npi_licensor_present", 929),
            ("npi_present_1", 909),
            ("npi_present_2", 914),
            ("only_npi_licensor_present", 882),
            ("only_npi_scope", 837),
            ("sentential_negation_npi_licensor_present", 919),
            ("sentential_negation_npi_scope", 871),
        ],
    ),
    (
        "quantifiers",
        &[
            ("existential_there_quantifiers_1", 930),
            ("existential_there_quantifiers_2", 911),
            ("superlative_quantifiers_1", 979),
            ("superlative_quantifiers_2", 986),
        ],
    ),
    (
        "subject_verb_agreement",
        &[
            ("distractor_agreement_relational_noun", 788),
            ("distractor_agreement_relative_clause", 871),
            ("irregular_plural_subject_verb_agreement_1", 804),
            ("irregular_plural_subject_verb_agreement_2", 892),
            ("regular_plural_subject_verb_agreement_1", 890),
            ("regular_plural_subject_verb_agreement_2", 945),
        ],
    ),
];

/// The 2023 group of a task; a task outside BLiMP is its own group.
pub fn group_of(task: &str) -> &str {
    GROUPS
        .iter()
        .find(|(_, tasks)| tasks.iter().any(|(known, _)| *known == task))
        .map_or(task, |(group, _)| group)
}

/// What the rules pool a task's items into: its group in 2023, nothing in 2024, whose score is the
/// unweighted mean of the tasks.
pub fn pooled(task: &str, rules: Rules) -> Option<&str> {
    (rules == Rules::Year2023).then(|| group_of(task))
}

/// BLiMP's 67 tasks, group by group.
pub fn blimp_tasks() -> impl Iterator<Item = &'static str> {
    filtered_sizes().map(|(task, _)| task)
}

/// BLiMP's 67 tasks with the pairs of each in the filtered files of the 2024 pipeline.
pub fn filtered_sizes() -> impl Iterator<Item = (&'static str, usize)> {
    GROUPS.iter().flat_map(|(_, tasks)| tasks.iter().copied())
}

/// The pairs of one of BLiMP's tasks in the filtered files of the 2024 pipeline.
pub(super) fn filtered_size(task: &str) -> Option<usize> {
    filtered_sizes().find(|(known, _)| *known == task).map(|(_, pairs)| pairs)
}

/// Whether a task is one of BLiMP's 67.
pub fn is_blimp_task(task: &str) -> bool {
    blimp_tasks().any(|known| known == task)
}

/// Whether a name is that of a group of 2023, whose files hold all its tasks' items.
pub fn is_group(name: &str) -> bool {
    GROUPS.iter().any(|(group, _)| *group == name)
}

/// The names that all of BLiMP's files have, in the form in which these are: of the tasks, or of
/// the groups.
pub(super) fn names(tasks: &[TaskResult]) -> Vec<&'static str> {
    match tasks.iter().any(|task| is_group(&task.name)) {
        true => GROUPS.iter().map(|(group, _)| *group).collect(),
        false => blimp_tasks().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_groups_hold_blimps_67_tasks_once() {
        let mut tasks: Vec<&str> = blimp_tasks().collect();
        assert_eq!(tasks.len(), 67);
        tasks.sort_unstable();
        tasks.dedup();
        assert_eq!(tasks.len(), 67);
        assert_eq!(filtered_sizes().map(|(_, pairs)| pairs).sum::<usize>(), 59_875);
        assert_eq!(group_of("wh_island"), "island_effects");
        assert_eq!(group_of("hypernym"), "hypernym");
        assert!(
            is_blimp_task("wh_island")
                && !is_blimp_task("island_effects")
                && is_group("island_effects")
        );
    }
}
