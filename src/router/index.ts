export type { ClassQueueSettings, HoldSettings } from './class-queue.ts';
export { Classifier, type ClassRule } from './classifier.ts';
export { DROP_REASONS, type DropReason } from './drop.ts';
export { type HistogramSnapshot, LatencyHistogram } from './histogram.ts';
export type { HeldPacket, HoldStore } from './hold-store.ts';
export type { InterfaceKind, InterfaceOptions, RouterInterface } from './interface.ts';
export { OutputQueue } from './output-queue.ts';
export { LOCAL, NO_ROUTE, type Route, RouteTable, WITHDRAWN } from './route-table.ts';
export { type RouteOptions, Router, type RouterOptions } from './router.ts';
export type { ClassSnapshot, InterfaceSnapshot, RouterSnapshot } from './snapshot.ts';
export {
  COMMAND_PORTS,
  DEFAULT_TRAFFIC_CLASSES,
  type QueueLimit,
  TELEMETRY_PORTS,
  type TrafficClass,
  type TrafficClassMatch,
  withHold,
} from './traffic-class.ts';
