/** spire.api.server.bundle.v1.Bundle: our own trust bundle for everyone, those of federated trust domains for operators and agents. */
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import {
  bundleFromProto,
  bundleToProto,
  bundleUpdateFromProto,
  tokenAuthoritiesFromProto,
  x509AuthoritiesFromProto,
} from '@bonafide/shared/rpc/codec/bundle';
import { bundleMaskFromProto } from '@bonafide/shared/rpc/codec/bundle-mask';
import { enumFromProto } from '@bonafide/shared/rpc/codec/field';
import type { Bundle as BundleProto } from '@bonafide/shared/rpc/gen/spire/api/types/Bundle';
import { unaryHandler } from '@bonafide/shared/rpc/handler';
import type { Handlers } from '@bonafide/shared/rpc/load-service';
import { sendRevisions } from '@bonafide/shared/rpc/revision-header';
import { OK_STATUS_PROTO, statusProtoFromError } from '@bonafide/shared/rpc/status';
import { parseTrustDomainOrId, type TrustDomain } from '@bonafide/shared/spiffe-id/trust-domain';
import { callContext, type AuthorizedCallContext } from '../access/call-context.js';
import type { Store } from '../store/store.js';
import type { EntryGraph } from '../entry-graph/entry-graph.js';
import type { FederatedBundles, WrittenBundle } from '../trust-bundle/federated-bundles.js';
import type { OwnBundle } from '../trust-bundle/own-bundle.js';
import { createDownstreamBundleHandlers, type DownstreamBundleOptions } from './downstream.js';
import { pageFromProto } from './request/page.js';

export interface BundleApiOptions extends DownstreamBundleOptions {
  readonly trustDomain: TrustDomain;
  readonly store: Store;
  readonly graph: EntryGraph;
  readonly ownBundle: OwnBundle;
  readonly federatedBundles: FederatedBundles;
}

const DELETE_MODES = { RESTRICT: 'restrict', DELETE: 'delete', DISSOCIATE: 'dissociate' } as const;

export function createBundleHandlers(
  options: BundleApiOptions,
): Handlers<'spire.api.server.bundle.v1.Bundle'> {
  const { trustDomain, store, graph, ownBundle, federatedBundles } = options;

  return {
    CountBundles: unaryHandler(callContext, async () => ({ count: await store.bundles.count() })),

    GetBundle: unaryHandler(callContext, ({ outputMask }) => {
      const bundle = graph.bundle(trustDomain);
      if (bundle === undefined) throw new BonafideError('not_found', 'bundle not found');
      return Promise.resolve(bundleToProto(bundle, outputMask));
    }),

    AppendBundle: unaryHandler(callContext, async (request, call) => {
      const { bundle, revision } = await ownBundle.append({
        x509Authorities: x509AuthoritiesFromProto(request.x509Authorities),
        jwtAuthorities: tokenAuthoritiesFromProto(request.jwtAuthorities, 'jwt_authorities'),
        witAuthorities: tokenAuthoritiesFromProto(request.witAuthorities, 'wit_authorities'),
      });
      sendRevisions(call, [revision]);
      return bundleToProto(bundle, request.outputMask);
    }),

    ...createDownstreamBundleHandlers(options),

    ListFederatedBundles: unaryHandler(callContext, async (request) => {
      const page = await federatedBundles.list(pageFromProto(request));
      return {
        bundles: page.items.map((bundle) => bundleToProto(bundle, request.outputMask)),
        nextPageToken: page.nextPageToken ?? '',
      };
    }),

    GetFederatedBundle: unaryHandler(callContext, async (request) => {
      const bundle = await federatedBundles.get(parseTrustDomainOrId(request.trustDomain));
      return bundleToProto(bundle, request.outputMask);
    }),

    BatchCreateFederatedBundle: unaryHandler(callContext, async ({ bundle, outputMask }, call, context) => ({
      results: await each(bundle, { call, context }, async (item) =>
        written(await federatedBundles.create(bundleFromProto(item)), outputMask),
      ),
    })),

    BatchUpdateFederatedBundle: unaryHandler(callContext, async (request, call, context) => ({
      results: await each(request.bundle, { call, context }, async (item) => {
        const update = bundleUpdateFromProto(item, bundleMaskFromProto(request.inputMask));
        const updated = await federatedBundles.update(update.trustDomain, update.content);
        return written(updated, request.outputMask);
      }),
    })),

    BatchSetFederatedBundle: unaryHandler(callContext, async ({ bundle, outputMask }, call, context) => ({
      results: await each(bundle, { call, context }, async (item) =>
        written(await federatedBundles.set(bundleFromProto(item)), outputMask),
      ),
    })),

    BatchDeleteFederatedBundle: unaryHandler(callContext, async ({ trustDomains, mode }, call, context) => {
      const deleteMode = enumFromProto('mode', mode, DELETE_MODES);
      const results = await each(trustDomains, { call, context }, async (name) => ({
        revision: await federatedBundles.delete(parseTrustDomainOrId(name), deleteMode),
        answer: {},
      }));
      return {
        results: results.map((result, index) => ({ ...result, trustDomain: trustDomains[index] ?? '' })),
      };
    }),
  };
}

interface ItemResult {
  readonly status: { readonly code: number; readonly message: string };
  readonly bundle?: BundleProto;
}

interface WrittenItem {
  readonly revision: number;
  readonly answer: { readonly bundle?: BundleProto };
}

function written(
  { bundle, revision }: WrittenBundle,
  outputMask: Parameters<typeof bundleToProto>[1],
): WrittenItem {
  return { revision, answer: { bundle: bundleToProto(bundle, outputMask) } };
}

/** One after the other, as each is a transaction; every item has a status of its own. */
async function each<Item>(
  items: readonly Item[],
  {
    call,
    context,
  }: { readonly call: Parameters<typeof sendRevisions>[0]; readonly context: AuthorizedCallContext },
  work: (item: Item) => Promise<WrittenItem>,
): Promise<ItemResult[]> {
  const results: ItemResult[] = [];
  const revisions: number[] = [];
  for (const item of items) {
    try {
      const { revision, answer } = await work(item);
      revisions.push(revision);
      results.push({ ...answer, status: OK_STATUS_PROTO });
    } catch (error) {
      results.push({ status: statusProtoFromError(error, context) });
    }
  }
  sendRevisions(call, revisions);
  return results;
}
