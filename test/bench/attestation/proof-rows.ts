/** What the server spends on nodes that prove themselves again: its own time, as the kernel counts it, over real TLS. */
import { randomBytes, sign, verify } from 'node:crypto';
import { makeKeyPair } from '@bonafide/testing/make-key-pair';
import { median } from '../measuring/median.js';
import { progress } from '../measuring/progress.js';
import type { Row } from '../row.js';
import { recordedMachine, withMeasuredFiles } from './machines.js';
import { Provers, type ProofCost } from './provers.js';
import type { AttestationSizes } from './sizes.js';

/** 10,000 nodes, each every 10 minutes. */
const PROOFS_A_SECOND = 10_000 / 600;
const LISTS = [20, 1_000, 10_000];
/** As long as what a TPM signs. */
const SIGNED_BYTES = 145;

export async function proofRows(sizes: AttestationSizes): Promise<readonly Row[]> {
  const bare = { what: 'node:crypto verify of one P-256 signature', value: bareVerifyUs(), unit: 'µs' };
  return [...(await withoutList(sizes, bare)), ...(await withLists(sizes))];
}

async function withoutList(
  sizes: AttestationSizes,
  bare: Row['reference'] & object,
): Promise<readonly Row[]> {
  progress('proofs: one bank of PCRs, then two');
  await using one = await Provers.start(recordedMachine(['sha256']), sizes.provers);
  await one.prove(sizes.warmingProofs);
  const before = one.revision();
  const unchanged = await one.prove(sizes.proofs);
  const revisions = one.revision() - before;
  const share = (unchanged.us * PROOFS_A_SECOND) / 10_000;
  progress('proofs after a reboot');
  const rebooted = await one.prove(sizes.reboots, { isReboot: true });
  await using two = await Provers.start(recordedMachine(['sha1', 'sha256']), sizes.provers);
  await two.prove(sizes.warmingProofs);
  const twoBanks = await two.prove(sizes.proofs);
  return [
    { what: 'server time of an unchanged proof, one bank of PCRs', ...inUs(unchanged.us), reference: bare },
    {
      what: '10,000 nodes that prove themselves every 10 minutes',
      ...{ value: share, unit: '% of a core', target: '< 10 %' },
    },
    {
      what: 'SQL statements of an unchanged proof',
      ...{ value: unchanged.statements / sizes.proofs, unit: '' },
    },
    { what: 'revisions of an unchanged proof', value: revisions / sizes.proofs, unit: '', target: '0' },
    compared('the same, two banks', twoBanks, unchanged, 'one bank'),
    compared('after a reboot, with the recorded boot log', rebooted, unchanged, 'an unchanged proof'),
    {
      what: 'SQL statements of a proof after a reboot',
      ...{ value: rebooted.statements / sizes.reboots, unit: '' },
    },
  ];
}

async function withLists(sizes: AttestationSizes): Promise<readonly Row[]> {
  const machine = recordedMachine(['sha256']);
  await using provers = await Provers.start(machine, sizes.listProvers, Math.max(...LISTS));
  const rows: Row[] = [];
  for (const count of LISTS) {
    progress(`proofs with ${count} measured files`);
    const name = count.toLocaleString('en');
    provers.become(withMeasuredFiles(machine, count));
    await provers.prove(sizes.listProvers, { isReboot: true });
    const anew = await provers.prove(sizes.listProofs, { isReboot: true });
    const unchanged = await provers.prove(sizes.proofs);
    rows.push(
      compared(
        `after a reboot, with a list of ${name} measured files`,
        anew,
        unchanged,
        'when nothing was added to the list',
      ),
    );
  }
  return rows;
}

function compared(what: string, cost: ProofCost, other: ProofCost, otherWhat: string): Row {
  return { what, ...inUs(cost.us), reference: { what: otherWhat, ...inUs(other.us) } };
}

function inUs(value: number): { readonly value: number; readonly unit: string } {
  return { value, unit: 'µs' };
}

/** Processor time, so that a busy machine does not count. */
function bareVerifyUs(): number {
  const rounds = 5;
  const count = 2_000;
  const { publicKey, privateKey } = makeKeyPair('ec', { namedCurve: 'P-256' });
  const message = randomBytes(SIGNED_BYTES);
  const signature = sign('sha256', message, privateKey);
  return median(
    Array.from({ length: rounds }, () => {
      const before = process.cpuUsage();
      for (let index = 0; index < count; index += 1) {
        if (!verify('sha256', message, publicKey, signature))
          throw new Error('the signature does not verify');
      }
      const { user, system } = process.cpuUsage(before);
      return (user + system) / count;
    }),
  );
}
