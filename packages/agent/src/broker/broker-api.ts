/** spiffe.broker.API: the X.509-SVID and JWT-SVID profiles (SPIFFE Broker API sections 5 and 6). */
import type { Server } from '@grpc/grpc-js';
import { formatJwkSet } from '@bonafide/shared/bundle/jwk-set';
import { BonafideError } from '@bonafide/shared/errors/bonafide-error';
import { callContexts, type CallContext, type ContextOf } from '@bonafide/shared/rpc/call-context';
import type { FetchJWTSVIDRequest__Output } from '@bonafide/shared/rpc/gen/spiffe/broker/FetchJWTSVIDRequest';
import type { FetchJWTSVIDResponse } from '@bonafide/shared/rpc/gen/spiffe/broker/FetchJWTSVIDResponse';
import type { WorkloadReference__Output } from '@bonafide/shared/rpc/gen/spiffe/broker/WorkloadReference';
import { serverStreamHandler, unaryHandler } from '@bonafide/shared/rpc/handler';
import { loadService } from '@bonafide/shared/rpc/load-service';
import { parseSpiffeId, type SpiffeId } from '@bonafide/shared/spiffe-id/spiffe-id';
import { CallerQuota } from '../endpoints/caller-quota.js';
import type { UpdateStream } from '../streams/deliver-updates.js';
import { grantable, isGrantable } from '../on-behalf/grantable.js';
import { AuthorizedStreams } from '../on-behalf/authorized-streams.js';
import type { Subject } from '../on-behalf/subject.js';
import { subjectJwtSvids } from '../on-behalf/subject-jwt-svids.js';
import type {
  WorkloadEntries,
  WorkloadIdentities,
  WorkloadUpdate,
} from '../svid-cache/workload-identities.js';
import type { JwtSvids } from '../token-svids/jwt-svids.js';
import { requireOwnBundle } from '../workload-api/bundle-stream.js';
import { EncodedOnce } from '../workload-api/encoded-once.js';
import { checkAudiences } from '../workload-api/granted-jwt-svids.js';
import { sendingBytes } from '../workload-api/sending-bytes.js';
import { bundleTexts } from '../workload-api/token-requests.js';
import { uniqueHints } from '../workload-api/unique-hints.js';
import { X509Responses } from '../workload-api/x509-responses.js';
import { brokerOf } from './broker-interceptor.js';
import type { BrokerPeer } from './broker-peer.js';
import type { BrokerPolicy } from './broker-policy.js';
import { notEntitled, workloadRefusal } from './broker-refusals.js';
import {
  parseWorkloadReference,
  referenceType,
  subjectOf,
  type ReferenceSubjectsOptions,
} from './workload-reference.js';

export interface BrokerApiOptions extends ReferenceSubjectsOptions {
  readonly identities: WorkloadIdentities;
  readonly jwtSvids: Pick<JwtSvids, 'fetch'>;
  readonly policy: BrokerPolicy;
  /** Calls that one SPIFFE ID may have open at once, on all of its connections. */
  readonly maxStreamsPerBroker: number;
}

interface BrokerCall extends CallContext {
  readonly broker: BrokerPeer;
}

interface Referring {
  readonly reference: WorkloadReference__Output | null;
}

type StreamHandler = ReturnType<typeof serverStreamHandler<Referring, Buffer, BrokerCall>>;

const { definition } = loadService('spiffe.broker.API');

export class BrokerApi {
  readonly #options: BrokerApiOptions;
  readonly #contextOf: ContextOf<BrokerCall>;
  readonly #quota: CallerQuota<SpiffeId>;
  readonly #streams = new AuthorizedStreams();
  /** Messages of the same shape as the Workload API's, field by field. */
  readonly #x509: X509Responses;
  readonly #jwtBundles = new EncodedOnce<WorkloadEntries>((update) =>
    definition.SubscribeToJWTBundles.responseSerialize({
      bundles: bundleTexts(update, (bundle) => Buffer.from(formatJwkSet(bundle.jwtAuthorities))),
    }),
  );

  constructor(options: BrokerApiOptions) {
    this.#options = options;
    this.#quota = new CallerQuota(options.maxStreamsPerBroker);
    this.#x509 = new X509Responses(options);
    const contextOf = callContexts(options.log);
    this.#contextOf = (call) => ({ ...contextOf(call), broker: brokerOf(call) });
  }

  addTo(server: Server): void {
    const { SubscribeToJWTBundles, SubscribeToX509Bundles, SubscribeToX509SVID } = definition;
    const { identities } = this.#options;
    server.addService(
      {
        ...definition,
        SubscribeToX509SVID: sendingBytes(SubscribeToX509SVID),
        SubscribeToX509Bundles: sendingBytes(SubscribeToX509Bundles),
        SubscribeToJWTBundles: sendingBytes(SubscribeToJWTBundles),
      },
      {
        SubscribeToX509SVID: this.#stream<WorkloadUpdate>((subject) => ({
          follow: (push) => identities.subscribe(subject.selectors, push),
          encode: (whole) => {
            const update = grantable(whole);
            if (update.identities.length === 0) throw notEntitled();
            return this.#x509.svids(update);
          },
        })),
        SubscribeToX509Bundles: this.#bundleStream((update) => this.#x509.bundles(update)),
        SubscribeToJWTBundles: this.#bundleStream((update) => this.#jwtBundles.bytes(update)),
        FetchJWTSVID: unaryHandler(this.#contextOf, (request: FetchJWTSVIDRequest__Output, _call, context) =>
          this.#fetchJwtSvid(request, context),
        ),
      },
    );
  }

  endStreams(): void {
    this.#streams.endAll();
  }

  #bundleStream(encode: (update: WorkloadEntries) => Buffer): StreamHandler {
    return this.#stream<WorkloadEntries>((subject) => ({
      follow: (push) => this.#options.identities.follow(subject.selectors, push),
      encode: (update) => {
        if (!update.entries.some(isGrantable)) throw notEntitled();
        requireOwnBundle(update);
        return encode(update);
      },
    }));
  }

  #stream<Update>(profile: (subject: Subject) => UpdateStream<Update>): StreamHandler {
    return serverStreamHandler(this.#contextOf, (request, call, context) =>
      this.#within(request, context, (subject) => {
        const { broker: authorization, signal } = context;
        return this.#streams.deliver<Update>({ call, signal, authorization, subject }, profile(subject));
      }),
    );
  }

  async #fetchJwtSvid(
    request: FetchJWTSVIDRequest__Output,
    context: BrokerCall,
  ): Promise<FetchJWTSVIDResponse> {
    const { audience, spiffeId } = request;
    checkAudiences(audience);
    if (spiffeId !== '') parseSpiffeId(spiffeId);
    return this.#within(request, context, async (subject) => {
      const granted = await subjectJwtSvids(
        { audience, authorization: context.broker, notEntitled, spiffeId, subject },
        this.#options,
      );
      const entries = granted.map(({ entry }) => entry);
      const hints = uniqueHints(entries, this.#options.log);
      return {
        svids: granted.map(({ svid }, index) => ({
          spiffeId: svid.spiffeId,
          svid: svid.token,
          hint: hints[index] ?? '',
        })),
      };
    });
  }

  async #within<Answer>(
    { reference }: Referring,
    context: BrokerCall,
    work: (subject: Subject) => Promise<Answer>,
  ): Promise<Answer> {
    const { broker } = context;
    const { policy } = this.#options;
    broker.check();
    policy.checkBroker(broker.spiffeId);
    policy.checkReference(broker.spiffeId, referenceType(reference), broker.isTcp);
    const leave = this.#quota.enter(broker.spiffeId);
    if (leave === undefined) {
      const message = `broker ${broker.spiffeId} has ${this.#quota.limit} calls open, which is as many as one broker may have`;
      throw new BonafideError('resource_exhausted', message);
    }
    try {
      const subject = await subjectOf(parseWorkloadReference(reference), this.#options, context);
      try {
        return await work(subject);
      } finally {
        subject.close();
      }
    } catch (error) {
      throw workloadRefusal(error);
    } finally {
      leave();
    }
  }
}
