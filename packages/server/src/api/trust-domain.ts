/** spire.api.server.trustdomain.v1.TrustDomain: operators manage federation relationships, but those of the configuration file. */
import {
  BonafideError,
  errorMessage,
  hasReason,
  invalidArgument,
} from '@bonafide/shared/errors/bonafide-error';
import {
  federationRelationshipFromProto,
  federationRelationshipToProto,
  federationUpdateFromProto,
} from '@bonafide/shared/rpc/codec/federation';
import { federationMaskFromProto, type FederationMask } from '@bonafide/shared/rpc/codec/federation-mask';
import { inField } from '@bonafide/shared/rpc/codec/field';
import type { FederationRelationship as RelationshipProto } from '@bonafide/shared/rpc/gen/spire/api/types/FederationRelationship';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext } from '../access/call-context.js';
import type { BundleRefresh } from '../federation/bundle-refresh.js';
import type {
  FederationRelationships,
  HeldRelationship,
  WrittenRelationship,
} from '../federation/relationships.js';
import { pageFromProto } from './request/page.js';
import { writeEachTrustDomain } from './request/trust-domain-batch.js';

export interface TrustDomainApiOptions {
  readonly relationships: FederationRelationships;
  readonly refresh: Pick<BundleRefresh, 'refresh'>;
}

export function createTrustDomainHandlers({
  relationships,
  refresh,
}: TrustDomainApiOptions): Handlers<'spire.api.server.trustdomain.v1.TrustDomain'> {
  return {
    ListFederationRelationships: unaryHandler(callContext, async (request) => {
      const page = await relationships.list(pageFromProto(request));
      return {
        federationRelationships: page.items.map((item) => heldToProto(item, request.outputMask)),
        nextPageToken: page.nextPageToken ?? '',
      };
    }),

    GetFederationRelationship: unaryHandler(callContext, async ({ trustDomain, outputMask }) =>
      heldToProto(await relationships.get(trustDomainFrom(trustDomain)), outputMask),
    ),

    BatchCreateFederationRelationship: unaryHandler(callContext, async (request, call, context) => ({
      results: await writeEachTrustDomain(
        { call, context, items: request.federationRelationships, nameOf },
        async (item) => {
          const { relationship, bundle } = converted(() => federationRelationshipFromProto(item));
          const created = await named('failed to create federation relationship', () =>
            relationships.create(relationship, bundle),
          );
          return written(created, request.outputMask);
        },
      ),
    })),

    BatchUpdateFederationRelationship: unaryHandler(callContext, async (request, call, context) => {
      const mask = federationMaskFromProto(request.inputMask);
      return {
        results: await writeEachTrustDomain(
          { call, context, items: request.federationRelationships, nameOf },
          async (item) => {
            const { trustDomain, endpoint, bundle } = converted(() => federationUpdateFromProto(item, mask));
            const updated = await named('failed to update federation relationship', () =>
              relationships.update(trustDomain, endpoint, bundle),
            );
            return written(updated, request.outputMask);
          },
        ),
      };
    }),

    BatchDeleteFederationRelationship: unaryHandler(callContext, async ({ trustDomains }, call, context) => {
      const results = await writeEachTrustDomain(
        { call, context, items: trustDomains, nameOf: bareName },
        async (name) => {
          if (name === '') throw invalidArgument('missing trust domain');
          return { revision: await relationships.delete(trustDomainFrom(name)), answer: {} };
        },
      );
      return {
        results: results.map((result, index) => ({
          ...result,
          trustDomain: bareName(trustDomains[index] ?? ''),
        })),
      };
    }),

    RefreshBundle: unaryHandler(callContext, async ({ trustDomain: name }, _call, { audit }) => {
      const trustDomain = trustDomainFrom(name);
      await refresh.refresh(trustDomain).catch((error: unknown) => {
        throw hasReason(error, 'not_found') ? error : prefixedError('failed to refresh bundle', error);
      });
      audit.note({ subject: { trustDomain } });
      return {};
    }),
  };
}

function heldToProto(
  { relationship, bundle }: HeldRelationship,
  mask: FederationMask | null,
): RelationshipProto {
  return federationRelationshipToProto(relationship, bundle, mask);
}

function trustDomainFrom(name: string): TrustDomain {
  return inField('failed to parse trust domain', () => parseTrustDomainOrId(name));
}

function nameOf({ trustDomain }: { readonly trustDomain: string }): string {
  return trustDomain;
}

/** As SPIRE answers: the name even when a SPIFFE ID was given. */
function bareName(name: string): string {
  return name.startsWith('spiffe://') ? name.slice('spiffe://'.length) : name;
}

function converted<T>(decode: () => T): T {
  return inField('failed to convert federation relationship', decode);
}

async function named<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // What a request got wrong stands for itself.
    throw hasReason(error, 'invalid_argument') ? error : prefixedError(what, error);
  }
}

/** Anything unexpected stays as it is: its text is not for the caller. */
function prefixedError(what: string, error: unknown): unknown {
  if (!(error instanceof BonafideError)) return error;
  return new BonafideError(error.reason, `${what}: ${errorMessage(error)}`, { cause: error });
}

function written(
  relationship: WrittenRelationship,
  mask: FederationMask | null,
): { readonly revision: number; readonly answer: { readonly federationRelationship: RelationshipProto } } {
  const answer = { federationRelationship: heldToProto(relationship, mask) };
  return { revision: relationship.revision, answer };
}
