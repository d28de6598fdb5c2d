"""AgentDojo's tasks with a fully hijacked agent, through the machine's own gate and monitor."""
