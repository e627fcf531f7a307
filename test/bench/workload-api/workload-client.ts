/** A workload that speaks to the agent with nothing but grpc-js, and decodes no answer: what is measured is the agent. */
import { Client, credentials, Metadata, type ClientReadableStream } from '@grpc/grpc-js';

export function newClient(socketPath: string): Client {
  return new Client(`unix:${socketPath}`, credentials.createInsecure(), LONE_CONNECTION);
}

/** Clients of one process would share a connection otherwise. */
export const LONE_CONNECTION = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.enable_channelz': 0,
} as const;

const HEADER = new Metadata();
HEADER.set('workload.spiffe.io', 'true');
const asIs = (bytes: Buffer): Buffer => bytes;
const NOTHING = Buffer.alloc(0);

export function callBare(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest('/grpc.health.v1.Health/Check', asIs, asIs, NOTHING, (error) => {
      if (error === null) resolve();
      else reject(error);
    });
  });
}

export function fetchSvid(client: Client): Promise<void> {
  return new Promise((resolve, reject) => {
    let received = false;
    const stream = openStream(client, () => {
      received = true;
      stream.cancel();
      resolve();
    });
    stream.on('error', (error) => {
      if (!received) reject(error);
    });
  });
}

export function openStream(
  client: Client,
  onMessage: (message: Buffer) => void,
): ClientReadableStream<Buffer> {
  const method = '/SpiffeWorkloadAPI/FetchX509SVID';
  return client.makeServerStreamRequest(method, asIs, asIs, NOTHING, HEADER).on('data', onMessage);
}
