/** The FTP server's protocol: everything but sockets and files, which are in src/io/ftp-*.ts. */
export { canonicalAddress, type Endpoint } from './address.ts';
export { FromNetwork, NetworkSize, ToNetwork, type Translation } from './ascii.ts';
export { formatTimeValue, parseTimeValue } from './calendar.ts';
export { type Estimate, estimate, nextJob, retrySeconds, type TransferJob, transferJob } from './client/job.ts';
export type { SessionEnvironment, SessionSettings } from './command.ts';
export { ALWAYS_IN_CONTACT, type ContactForecast, deadlineInContact } from './contact-time.ts';
export { LoginLimit } from './login-limit.ts';
export { fromOctets, fromUnicode, printable, toOctets, toUnicode } from './octet-text.ts';
export type {
  Account,
  Answer,
  AnswerOf,
  DataRoute,
  Entry,
  FileReason,
  HashAlgorithm,
  Operation,
  OperationName,
  Operations,
  TransferReason,
} from './operations.ts';
export { joinPath, nameOf, parentOf, resolvePath, UPLOAD_PREFIX } from './path.ts';
export { FtpSession, type SessionEvent, type SessionInput } from './session.ts';
export { type FtpSettings, ftpSettings } from './settings.ts';
