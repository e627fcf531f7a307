/** How a benchmark is run; most need to know nothing of it. */

export interface BenchOptions {
  /** Small and short: to see that everything works, not for figures. */
  readonly isQuick: boolean;
  /** Parts of it to run; empty: all. */
  readonly only: readonly string[];
  /** For what takes long to make; outlives the run. */
  readonly cacheDirectory: string;
  /** Takes a chart in. @param name of the file, without an ending. */
  readonly chart: (name: string, svg: string) => void;
}
