/** One line of a benchmark's report: a figure, what it is compared with in the same run, and what it should be. */

export interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  readonly reference?: { readonly what: string; readonly value: number; readonly unit: string };
  readonly target?: string;
}
