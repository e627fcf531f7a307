/** The header of a health answer, one for each thing that is degraded: a sentence, UTF-8. */
export const DEGRADED_HEADER = 'bonafide-degraded-bin';

/** The JSON of every check, for operators. */
export const CHECKS_HEADER = 'bonafide-checks-bin';
