/** The header of a health answer, one for each thing that is degraded: a sentence, UTF-8. */
export const DEGRADED_HEADER = 'bonafide-degraded-bin';
