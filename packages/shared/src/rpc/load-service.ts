/** A service of proto/ by its full name: what a grpc Server is given, and the class of its clients; both fully typed. */
import {
  makeClientConstructor,
  type ChannelCredentials,
  type ClientOptions,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import { loadProto } from './load-proto.js';
import { SERVICES, type ServiceName, type ServiceTypes } from './services.js';

/** To be implemented whole: `server.addService(definition, handlers satisfies Handlers<'...'>)`. */
export type Handlers<Name extends ServiceName> = ServiceTypes[Name]['handlers'];
export type ServiceClient<Name extends ServiceName> = ServiceTypes[Name]['client'];

interface LoadedService<Name extends ServiceName> {
  readonly definition: ServiceTypes[Name]['definition'];
  readonly Client: new (
    address: string,
    credentials: ChannelCredentials,
    options?: ClientOptions,
  ) => ServiceClient<Name>;
}

/** The service's file is read on the first call and kept. */
export function loadService<Name extends ServiceName>(name: Name): LoadedService<Name> {
  const definition = loadProto(SERVICES[name])[name] as ServiceDefinition;
  // Made at run time from the file that the types were generated from.
  const Client: unknown = makeClientConstructor(definition, name);
  return {
    definition: definition as ServiceTypes[Name]['definition'],
    Client: Client as LoadedService<Name>['Client'],
  };
}
