//! BLiMP's tasks, and the groups in which the pipeline of 2023 pools them.

use crate::results::TaskResult;
use crate::rules::Rules;

/// The twelve groups of the 2023 pipeline and the BLiMP tasks in each: the paper's phenomena
/// (Warstadt et al., 2020, table 4).
const GROUPS: [(&str, &[&str]); 12] = [
    ("anaphor_agreement", &["anaphor_gender_agreement", "anaphor_number_agreement"]),
    (
        "argument_structure",
        &[
            "animate_subject_passive",
            "animate_subject_trans",
            "causative",
            "drop_argument",
            "inchoative",
            "intransitive",
            "passive_1",
            "passive_2",
            "transitive",
        ],
    ),
    (
        "binding",
        &[
            "principle_A_c_command",
            "principle_A_case_1",
            "principle_A_case_2",
            "principle_A_domain_1",
            "principle_A_domain_2",
            "principle_A_domain_3",
            "principle_A_reconstruction",
        ],
    ),
    (
        "control_raising",
        &[
            "existential_there_object_raising",
            "existential_there_subject_raising",
            "expletive_it_object_raising",
            "tough_vs_raising_1",
            "tough_vs_raising_2",
        ],
    ),
    (
        "determiner_noun_agreement",
        &[
            "determiner_noun_agreement_1",
            "determiner_noun_agreement_2",
            "determiner_noun_agreement_irregular_1",
            "determiner_noun_agreement_irregular_2",
            "determiner_noun_agreement_with_adj_2",
            "determiner_noun_agreement_with_adj_irregular_1",
            "determiner_noun_agreement_with_adj_irregular_2",
            "determiner_noun_agreement_with_adjective_1",
        ],
    ),
    ("ellipsis", &["ellipsis_n_bar_1", "ellipsis_n_bar_2"]),
    (
        "filler_gap",
        &[
            "wh_questions_object_gap",
            "wh_questions_subject_gap",
            "wh_questions_subject_gap_long_distance",
            "wh_vs_that_no_gap",
            "wh_vs_that_no_gap_long_distance",
            "wh_vs_that_with_gap",
            "wh_vs_that_with_gap_long_distance",
        ],
    ),
    (
        "irregular_forms",
        &["irregular_past_participle_adjectives", "irregular_past_participle_verbs"],
    ),
    (
        "island_effects",
        &[
            "adjunct_island",
            "complex_NP_island",
            "coordinate_structure_constraint_complex_left_branch",
            "coordinate_structure_constraint_object_extraction",
            "left_branch_island_echo_question",
            "left_branch_island_simple_question",
            "sentential_subject_island",
            "wh_island",
        ],
    ),
    (
        "npi_licensing",
        &[
            "matrix_question_npi_licensor_present",
            "npi_present_1",
            "npi_present_2",
            "only_npi_licensor_present",
            "only_npi_scope",
            "sentential_negation_npi_licensor_present",
            "sentential_negation_npi_scope",
        ],
    ),
    (
        "quantifiers",
        &[
            "existential_there_quantifiers_1",
            "existential_there_quantifiers_2",
            "superlative_quantifiers_1",
            "superlative_quantifiers_2",
        ],
    ),
    (
        "subject_verb_agreement",
        &[
            "distractor_agreement_relational_noun",
            "distractor_agreement_relative_clause",
            "irregular_plural_subject_verb_agreement_1",
            "irregular_plural_subject_verb_agreement_2",
            "regular_plural_subject_verb_agreement_1",
            "regular_plural_subject_verb_agreement_2",
        ],
    ),
];

/// The 2023 group of a task; a task outside BLiMP is its own group.
pub fn group_of(task: &str) -> &str {
    GROUPS.iter().find(|(_, tasks)| tasks.contains(&task)).map_or(task, |(group, _)| group)
}

/// What the rules pool a task's items into: its group in 2023, nothing in 2024, whose score is the
/// unweighted mean of the tasks.
pub fn pooled(task: &str, rules: Rules) -> Option<&str> {
    (rules == Rules::Year2023).then(|| group_of(task))
}

/// BLiMP's 67 tasks, group by group.
pub fn blimp_tasks() -> impl Iterator<Item = &'static str> {
    GROUPS.iter().flat_map(|(_, tasks)| tasks.iter().copied())
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
        assert_eq!(group_of("wh_island"), "island_effects");
        assert_eq!(group_of("hypernym"), "hypernym");
        assert!(
            is_blimp_task("wh_island")
                && !is_blimp_task("island_effects")
                && is_group("island_effects")
        );
    }
}
