/** Whether a machine is what it must be: every finding that policy, or what was accepted before, has against it. */
import type { PcrBank } from '@bonafide/shared/tpm/algorithm';
import {
  bootLogSummarySchema,
  firstDifference,
  type BootLogSummary,
} from '@bonafide/shared/tpm/measured-boot/compare-event-logs';
import type { NodeFinding } from '../../store/node-record.js';
import type { JudgedBootLog } from './boot-log-verdict.js';
import type { GoldenSets } from './golden-sets.js';
import { judgePcrs } from './judge-pcrs.js';
import { judgeSecureBootPolicy } from './judge-secure-boot.js';
import type { TpmPolicyConfig } from './tpm-config.js';
import type { NodeState } from './tpm-record.js';

export interface NodeJudgement {
  readonly state: NodeState;
  /** Undefined: the machine was never here. */
  readonly expected: NodeState | undefined;
  /** Undefined: no log was needed, for nothing had changed. */
  readonly bootLog: JudgedBootLog | undefined;
  readonly policy: TpmPolicyConfig;
  readonly golden: GoldenSets;
}

export function judgeNode(judgement: NodeJudgement): readonly NodeFinding[] {
  const { state, expected, policy, golden } = judgement;
  const pcrs = judgePcrs({
    pcrs: state.pcrs,
    expected: expected?.pcrs,
    golden,
    changeable: new Set(policy.changeable_pcrs),
    explain: explainer(judgement),
  });
  return [
    ...judgeBanks(state, policy),
    ...(expected === undefined ? [] : judgeTpm(state, expected)),
    ...pcrs.findings,
    ...judgeLog(judgement, pcrs.findings),
    ...judgeSecureBootPolicy(state, expected, { policy, allowedPcrs: pcrs.allowed }),
  ];
}

function judgeBanks({ pcrs }: NodeState, { banks }: TpmPolicyConfig): readonly NodeFinding[] {
  return banks
    .filter((bank) => pcrs[bank] === undefined)
    .map((bank) => ({
      kind: 'policy',
      text: `the bank ${bank} of PCRs, which policy.banks requires, is not active`,
      bank,
    }));
}

function judgeTpm(state: NodeState, expected: NodeState): readonly NodeFinding[] {
  const findings: NodeFinding[] = [];
  if (state.resetCount < expected.resetCount) {
    findings.push({
      kind: 'policy',
      text: 'the TPM was cleared: its count of resets went back',
      before: String(expected.resetCount),
      after: String(state.resetCount),
    });
  }
  if (state.firmwareVersion !== expected.firmwareVersion) {
    findings.push({
      kind: 'firmware',
      text: 'the firmware of the TPM is not the version that was accepted',
      before: expected.firmwareVersion,
      after: state.firmwareVersion,
    });
  }
  return findings;
}

function judgeLog(
  { state, bootLog, policy }: NodeJudgement,
  known: readonly NodeFinding[],
): readonly NodeFinding[] {
  if (state.bootLog.kind === 'none') {
    if (policy.event_log === 'optional') return [];
    const text = 'the machine shows no boot log, and policy.event_log is required';
    return [{ kind: 'boot_log', text }];
  }
  // What was shown earlier in this boot was judged then.
  if (state.bootLog.kind === 'refused' && bootLog !== undefined) {
    return [{ kind: 'boot_log', text: `the boot log is refused: ${state.bootLog.problem}` }];
  }
  return (bootLog?.unexplained ?? [])
    .filter(({ bank, pcr }) => !known.some((finding) => finding.bank === bank && finding.pcr === pcr))
    .map(({ bank, pcr, replayed, quoted }) => ({
      kind: 'boot_log',
      text: `the boot log does not lead to PCR ${pcr} of the bank ${bank}`,
      bank,
      pcr,
      before: replayed,
      after: quoted,
    }));
}

function explainer({ expected, bootLog }: NodeJudgement): (bank: PcrBank, pcr: number) => string | undefined {
  return (bank, pcr) => {
    if (bootLog?.log === undefined) return undefined;
    const isUnexplained = bootLog.unexplained.some((other) => other.bank === bank && other.pcr === pcr);
    if (isUnexplained) return 'no event of the boot log accounts for it, it was extended later';
    // Read only now: most proofs have nothing to explain.
    const before = summaryOf(expected);
    if (before === undefined) return undefined;
    const difference = firstDifference(before, bootLog.log, pcr);
    if (difference === undefined) return undefined;
    const { position, kind, before: old, after } = difference;
    const words = [
      ...(old === undefined ? [] : [`was ${old.description} (${old.digestStart}…)`]),
      ...(after === undefined ? [] : [`is ${after.description} (${after.digestStart}…)`]),
    ];
    return `event ${position} of PCR ${pcr} ${kind}, ${words.join(', ')}`;
  };
}

function summaryOf(state: NodeState | undefined): BootLogSummary | undefined {
  if (state?.bootLog.kind !== 'replayed') return undefined;
  const parsed = bootLogSummarySchema.safeParse(state.bootLog.summary);
  return parsed.success ? parsed.data : undefined;
}
