/** How an attempt of a helper to keep its files ended. */

/** `untold`: the files are new, and a program that reads them could not be told. */
export const HELPER_RESULTS = ['written', 'unchanged', 'removed', 'failed', 'untold'] as const;
export type HelperResult = (typeof HELPER_RESULTS)[number];
