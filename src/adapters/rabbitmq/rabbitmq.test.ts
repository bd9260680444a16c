import { eventSourceContract } from "../../core/event-source/event-source.contract.ts";
import { openRabbitMq } from "./testing/fixture.ts";
import { skipRabbitMq } from "./testing/server.ts";

// Kills of the server are in tests/brokers: each takes ten seconds.
eventSourceContract("RabbitMQ", () => openRabbitMq({ restarts: false }), { skip: skipRabbitMq });
