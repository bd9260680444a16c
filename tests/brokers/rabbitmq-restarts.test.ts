import { openRabbitMq } from "../../src/adapters/rabbitmq/testing/fixture.ts";
import { skipRabbitMq } from "../../src/adapters/rabbitmq/testing/server.ts";
import { eventSourceContract } from "../../src/core/event-source/event-source.contract.ts";

eventSourceContract("RabbitMQ that is killed", () => openRabbitMq({ restarts: true }), { skip: skipRabbitMq });
