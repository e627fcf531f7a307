/** Whether the PCRs of a machine are what they must be: by golden sets where there are some, else by what was accepted before. */
import { IMA_PCR, PCR_BANKS, type PcrBank } from '@bonafide/shared/tpm/algorithm';
import type { NodeFinding } from '../../store/node-record.js';
import type { GoldenPcrs, GoldenSets } from './golden-sets.js';
import type { NodeState } from './tpm-record.js';

type Pcrs = NodeState['pcrs'];

export interface PcrJudgement {
  readonly pcrs: Pcrs;
  /** Undefined: the machine was never here. */
  readonly expected: Pcrs | undefined;
  readonly golden: GoldenSets;
  readonly changeable: ReadonlySet<number>;
  /** Which event made the difference, as far as that is known. */
  readonly explain: (bank: PcrBank, pcr: number) => string | undefined;
}

export interface JudgedPcrs {
  readonly findings: readonly NodeFinding[];
  /** PCRs whose values a golden set allows. */
  readonly allowed: ReadonlySet<number>;
}

export function judgePcrs(judgement: PcrJudgement): JudgedPcrs {
  const { golden, pcrs } = judgement;
  const distances = [...golden].map(([name, set]) => ({ name, set, wrong: mismatches(pcrs, set) }));
  const matching = distances.filter(({ wrong }) => wrong.length === 0);
  if (golden.size === 0 || matching.length > 0) {
    const allowed = new Set(
      matching.flatMap(({ set }) => [...set.values()].flatMap((each) => [...each.keys()])),
    );
    return { findings: changes(judgement, allowed), allowed };
  }
  const [nearest] = distances.sort((left, right) => left.wrong.length - right.wrong.length);
  const wrong = nearest?.wrong ?? [];
  const named = new Set([...(nearest?.set.values() ?? [])].flatMap((each) => [...each.keys()]));
  const findings = wrong.map(({ bank, pcr }) => {
    const right = [...(nearest?.set.get(bank)?.get(pcr) ?? [])];
    const text = `PCR ${pcr} of the bank ${bank} is in no golden set as it is; the nearest is ${nearest?.name ?? ''}`;
    return pcrFinding(judgement, {
      bank,
      pcr,
      text,
      before: valueIn(judgement.expected, bank, pcr) ?? right[0],
    });
  });
  return { findings: [...findings, ...changes(judgement, named)], allowed: new Set() };
}

interface PlacedPcr {
  readonly bank: PcrBank;
  readonly pcr: number;
}

function mismatches(pcrs: Pcrs, set: GoldenPcrs): readonly PlacedPcr[] {
  return [...set].flatMap(([bank, values]) =>
    [...values].flatMap(([pcr, digests]) => {
      const value = valueIn(pcrs, bank, pcr);
      return value !== undefined && digests.has(value) ? [] : [{ bank, pcr }];
    }),
  );
}

/** Against what was accepted, in every bank, but for the PCRs that were judged otherwise. */
function changes(judgement: PcrJudgement, judged: ReadonlySet<number>): readonly NodeFinding[] {
  const { pcrs, expected, changeable } = judgement;
  if (expected === undefined) return [];
  return PCR_BANKS.flatMap((bank): readonly NodeFinding[] => {
    const before = expected[bank];
    if (before === undefined) return [];
    const now = pcrs[bank];
    if (now === undefined) {
      const text = `the bank ${bank} of PCRs was active and no longer is`;
      return [{ kind: 'policy', text, bank, before: 'active', after: 'inactive' }];
    }
    return Object.entries(now).flatMap(([index, value]) => {
      const pcr = Number(index);
      const known = before[index];
      const isFree = pcr === IMA_PCR || changeable.has(pcr) || judged.has(pcr);
      if (isFree || known === undefined || known === value) return [];
      const text = `PCR ${pcr} of the bank ${bank} is not what was accepted`;
      return [pcrFinding(judgement, { bank, pcr, text, before: known })];
    });
  });
}

function pcrFinding(
  { pcrs, explain }: PcrJudgement,
  { bank, pcr, text, before }: PlacedPcr & { readonly text: string; readonly before: string | undefined },
): NodeFinding {
  const after = valueIn(pcrs, bank, pcr);
  const event = explain(bank, pcr);
  return {
    kind: 'pcr',
    text: event === undefined ? text : `${text}: ${event}`,
    bank,
    pcr,
    before,
    after,
    event,
  };
}

export function valueIn(pcrs: Pcrs | undefined, bank: PcrBank, pcr: number): string | undefined {
  return pcrs?.[bank]?.[String(pcr)];
}
