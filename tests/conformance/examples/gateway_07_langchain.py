from langchain_openai import ChatOpenAI
llm = ChatOpenAI(
    base_url="https://dash.packet.ai/api/v1",
    model="auto",
    api_key="pk_live_YOUR_API_KEY",
    temperature=0.7
)
response = llm.invoke("What is the capital of France?")
print(response.content)
