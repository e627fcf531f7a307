/** bonafide.attestation.v1.TpmEnrollment: operators say which TPMs are ours, and look at what they showed. */
import { PCR_BANKS } from '@bonafide/shared/tpm/algorithm';
import { inField } from '@bonafide/shared/rpc/codec/field';
import type { Baseline } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/Baseline';
import type { EnrolledTpm } from '@bonafide/shared/rpc/gen/bonafide/attestation/v1/EnrolledTpm';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { sendRevisions } from '@bonafide/shared/rpc/revision-header';
import { callContext } from '../access/call-context.js';
import { nameOfCaller } from '../access/name-of-caller.js';
import { secureBootWord } from '../node-attestation/tpm/judge-secure-boot.js';
import { parseEkHash } from '../node-attestation/tpm/parse-hex-digest.js';
import type { TpmEnrollments } from '../node-attestation/tpm/tpm-enrollments.js';
import type { NodeState } from '../node-attestation/tpm/tpm-record.js';
import type { TpmEnrollmentRecord } from '../store/tpm-enrollment-record.js';
import { pageFromProto } from './request/page.js';

const SECURE_BOOT = { on: 'true', off: 'false', unproven: '' } as const;

export function createTpmEnrollmentHandlers(
  tpms: TpmEnrollments,
): Handlers<'bonafide.attestation.v1.TpmEnrollment'> {
  return {
    EnrollTpm: unaryHandler(callContext, async ({ ekHash, note }, _call, { caller, log, audit }) => {
      const enrolled = await tpms.enroll(ekHashFrom('ek_hash', ekHash), note, nameOfCaller(caller), audit);
      log.info({ ek_hash: enrolled.ekHash }, 'TPM enrolled');
      return enrolledToProto(enrolled);
    }),

    ListEnrolledTpms: unaryHandler(callContext, async (request) => {
      const { items, nextPageToken } = await tpms.list(pageFromProto(request));
      return { tpms: items.map(enrolledToProto), nextPageToken: nextPageToken ?? '' };
    }),

    RemoveEnrolledTpm: unaryHandler(callContext, async (request, call, { caller, log, audit }) => {
      const ekHash = ekHashFrom('ek_hash', request.ekHash);
      sendRevisions(call, [await tpms.remove(ekHash, nameOfCaller(caller), audit)]);
      log.info({ ek_hash: ekHash }, 'TPM removed, and its agent banned');
      return {};
    }),

    ReplaceTpm: unaryHandler(callContext, async (request, call, { caller, log, audit }) => {
      const oldEkHash = ekHashFrom('old_ek_hash', request.oldEkHash);
      const newEkHash = ekHashFrom('new_ek_hash', request.newEkHash);
      const { movedEntries, revision } = await tpms.replace(
        oldEkHash,
        newEkHash,
        nameOfCaller(caller),
        audit,
      );
      sendRevisions(call, [revision]);
      log.info({ old_ek_hash: oldEkHash, new_ek_hash: newEkHash, entries: movedEntries }, 'TPM replaced');
      return { movedEntries };
    }),

    RekeyTpm: unaryHandler(callContext, async (request, _call, { caller, log, audit }) => {
      const ekHash = ekHashFrom('ek_hash', request.ekHash);
      await tpms.rekey(ekHash, nameOfCaller(caller), audit);
      log.info({ ek_hash: ekHash }, 'attestation key of the TPM forgotten');
      return {};
    }),

    GetBaseline: unaryHandler(callContext, async (request) =>
      baselineToProto(await tpms.acceptedState(ekHashFrom('ek_hash', request.ekHash))),
    ),
  };
}

function ekHashFrom(field: string, text: string): string {
  return inField(field, () => parseEkHash(text));
}

function enrolledToProto({ ekHash, note, enrolledAt }: TpmEnrollmentRecord): EnrolledTpm {
  return { ekHash, note, enrolledAt: enrolledAt.getTime() };
}

function baselineToProto({ pcrs, bootLog }: NodeState): Baseline {
  return {
    pcrs: PCR_BANKS.flatMap((bank) =>
      Object.entries(pcrs[bank] ?? {}).map(([pcr, digest]) => ({ bank, pcr: Number(pcr), digest })),
    ),
    secureBoot: SECURE_BOOT[secureBootWord(bootLog)],
    dbAuthorities: bootLog.kind === 'replayed' ? (bootLog.secureBoot?.dbAuthorities ?? []) : [],
  };
}
