// The service that client.mjs and server.mjs speak; generated from a .proto file in a real application.
const encode = (message) => Buffer.from(JSON.stringify(message));
const decode = (bytes) => JSON.parse(bytes.toString());

export const Ledger = {
  Read: {
    path: '/example.Ledger/Read',
    requestStream: false,
    responseStream: false,
    requestSerialize: encode,
    requestDeserialize: decode,
    responseSerialize: encode,
    responseDeserialize: decode,
  },
};
