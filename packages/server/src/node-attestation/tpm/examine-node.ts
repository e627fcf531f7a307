/** One proof of a machine: as many questions as it takes, and what its answers come to beside policy and what was accepted before. */
import { IMA_PCR, PCR_BANKS, type PcrBank } from '@bonafide/shared/tpm/algorithm';
import type { TpmPublic } from '@bonafide/shared/tpm/tpm-public';
import type { NodeFinding } from '../../store/node-record.js';
import { judgeBootLog, type JudgedBootLog } from './boot-log-verdict.js';
import { ImaExamination, refused, type ImaVerdict } from './judge-ima.js';
import { judgeNode } from './judge-node.js';
import { bootOf, checkSameBoot, type TpmInterview, type TpmTestimony } from './tpm-interview.js';
import type { CurrentPolicy } from './tpm-policy.js';
import type { NodeState } from './tpm-record.js';

export interface NodeExamination {
  readonly interview: TpmInterview;
  /** Whose TPM it must be; undefined: the attestation key is known. */
  readonly ek: TpmPublic | undefined;
  /** What was accepted last; undefined: the machine was never here. */
  readonly expected: NodeState | undefined;
  /** The last proof was not accepted: nothing of it is taken for known. */
  readonly isInDoubt: boolean;
  readonly policy: CurrentPolicy;
}

export interface ExaminedNode {
  readonly state: NodeState;
  readonly findings: readonly NodeFinding[];
}

/** @throws BonafideError `permission_denied` or `invalid_argument` when it is not that TPM that answers, or not as it should. */
export async function examineNode(examination: NodeExamination): Promise<ExaminedNode> {
  const { interview, ek, expected, policy } = examination;
  const { config, imaAllowList } = policy;
  const pcrs =
    imaAllowList === undefined ? config.pcrs : [...new Set([...config.pcrs, IMA_PCR])].sort((a, b) => a - b);
  const [imaBank = 'sha256'] = config.banks;
  const imaFrom = (from: NodeState | undefined): ImaExamination | undefined =>
    imaAllowList === undefined ? undefined : new ImaExamination(imaAllowList, imaBank, from?.ima);

  let ima = imaFrom(expected);
  let testimony = await interview.ask({
    ...(ek === undefined ? {} : { ek }),
    banks: ek === undefined && expected !== undefined ? banksOf(expected) : PCR_BANKS,
    pcrs,
    wantsEventLog: expected === undefined,
    imaFrom: ima?.nextEntry,
  });
  if (expected !== undefined && needsLog(testimony, examination, expected)) {
    if (bootOf(testimony).resetCount !== expected.resetCount) ima = imaFrom(undefined);
    const first = testimony;
    testimony = await interview.ask({ banks: PCR_BANKS, pcrs, wantsEventLog: true, imaFrom: ima?.nextEntry });
    checkSameBoot(first, testimony);
  }
  const bootLog =
    expected !== undefined && !needsLog(testimony, examination, expected)
      ? undefined
      : judgeBootLog(testimony.eventLog, testimony.quotes, {
          bank: imaBank,
          changeable: new Set(config.changeable_pcrs),
        });
  const measured = await examineIma(ima, { testimony, interview, pcrs });
  const state = stateOf(testimony, { expected, bootLog, ima: measured });
  const findings = judgeNode({ state, expected, bootLog, policy: config, golden: policy.golden });
  return { state, findings: [...findings, ...(measured?.findings ?? [])] };
}

/** An unchanged machine is believed without its log, which is long and slow to judge. */
function needsLog(
  testimony: TpmTestimony,
  { isInDoubt, policy: { config } }: NodeExamination,
  expected: NodeState,
): boolean {
  const { resetCount, firmwareVersion } = bootOf(testimony);
  if (isInDoubt || resetCount !== expected.resetCount) return true;
  if (hexOf(firmwareVersion) !== expected.firmwareVersion) return true;
  if (expected.bootLog.kind === 'none' && config.event_log === 'required') return true;
  const changeable = new Set([...config.changeable_pcrs, IMA_PCR]);
  for (const [bank, { values }] of testimony.quotes) {
    for (const [pcr, value] of values) {
      if (!changeable.has(pcr) && expected.pcrs[bank]?.[String(pcr)] !== value.toString('hex')) return true;
    }
  }
  return false;
}

async function examineIma(
  ima: ImaExamination | undefined,
  {
    testimony,
    interview,
    pcrs,
  }: {
    readonly testimony: TpmTestimony;
    readonly interview: TpmInterview;
    readonly pcrs: readonly number[];
  },
): Promise<ImaVerdict | undefined> {
  if (ima === undefined) return undefined;
  let piece = testimony;
  let verdict = await ima.examine(piece);
  while (verdict === undefined) {
    if (!interview.canAsk) return refused('it is too long to be shown in one proof');
    const banks = [...testimony.quotes.keys()];
    piece = await interview.ask({ banks, pcrs, wantsEventLog: false, imaFrom: ima.nextEntry });
    checkSameBoot(testimony, piece);
    verdict = await ima.examine(piece);
  }
  return verdict;
}

function stateOf(
  testimony: TpmTestimony,
  {
    expected,
    bootLog,
    ima,
  }: {
    readonly expected: NodeState | undefined;
    readonly bootLog: JudgedBootLog | undefined;
    readonly ima: ImaVerdict | undefined;
  },
): NodeState {
  const { resetCount, restartCount, clock, firmwareVersion } = bootOf(testimony);
  return {
    // In one order, whatever the order of the answer: equal states are equal texts.
    pcrs: Object.fromEntries(
      PCR_BANKS.flatMap((bank) => {
        const quote = testimony.quotes.get(bank);
        return quote === undefined ? [] : [[bank, hexByPcr(quote.values)] as const];
      }),
    ),
    resetCount,
    restartCount,
    clock: clock.toString(),
    firmwareVersion: hexOf(firmwareVersion),
    bootLog: bootLog?.verdict ?? expected?.bootLog ?? { kind: 'none' },
    ...(ima?.position === undefined ? {} : { ima: ima.position }),
  };
}

/** PCR 10 is judged by the list that leads to it, and is another one all the time. */
function hexByPcr(values: ReadonlyMap<number, Buffer>): Record<string, string> {
  return Object.fromEntries(
    [...values]
      .filter(([pcr]) => pcr !== IMA_PCR)
      .map(([pcr, value]) => [String(pcr), value.toString('hex')]),
  );
}

function banksOf({ pcrs }: NodeState): readonly PcrBank[] {
  return PCR_BANKS.filter((bank) => pcrs[bank] !== undefined);
}

function hexOf(version: bigint): string {
  return version.toString(16);
}
